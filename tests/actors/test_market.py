import pytest
import trio

from actors.channels import Channel, Subscribe
from actors.market import BOOK_REPEAT_SECONDS, BOOK_SECONDS, RECENT_TRADES_MAX, ReadMarketView
from actors.router import BlockPart, CatchUp
from actors.subscription import Ended
from model.commands import Tif
from model.views.market import RECENT_TRADES_MAX as TRADES_KEPT
from supervision import State
from tests.actors.floor import ALICE, BOB, BTC, ETH, Floor, open_floor, order
from tests.actors.listeners import Listener, crash_next, listen_to_market

TRADES, BOOK, BBO = Channel("trades"), Channel("l2Book"), Channel("bbo")
MARKET = f"markets/{BTC.asset}"


async def trade(floor: Floor, nonce: int, *, asset: int = 0) -> None:
    price = 50_000 if asset == 0 else 3_000
    market = BTC.asset if asset == 0 else ETH.asset
    maker = order(ALICE, nonce, is_buy=False, price=price, asset=market)
    taker = order(BOB, nonce, price=price, tif=Tif.IOC, asset=market)
    await floor.source.submit(maker)
    await floor.source.submit(taker)
    await floor.registry.address("router").ask(CatchUp())


def trade_ids(floor: Floor, asset: int = 0) -> list[int]:
    return floor.chain.trade_ids(BTC.asset if asset == 0 else ETH.asset)


async def listen(floor: Floor, channel: Channel, asset: int = 0) -> Listener:
    listener = listen_to_market(floor, channel, BTC.asset if asset == 0 else ETH.asset)
    await trio.sleep(0.01)
    return listener


async def test_a_newcomer_sees_each_trade_once(autojump_clock: trio.testing.MockClock) -> None:
    """The trades of the very batch in which it subscribes are in its snapshot, and only there."""
    async with open_floor() as floor:
        await listen(floor, BOOK)
        floor.system.inspect(MARKET).suspend()
        await trade(floor, 1)
        newcomer = listen_to_market(floor, TRADES, BTC.asset)
        await trade(floor, 2)
        floor.system.inspect(MARKET).resume()
        await trio.sleep(1)

        assert newcomer.trade_ids() == trade_ids(floor)


async def test_a_snapshot_shows_the_newest_trades(autojump_clock: trio.testing.MockClock) -> None:
    """Oldest first, as many as a snapshot has; nothing where nothing was traded."""
    async with open_floor() as floor:
        early = await listen(floor, TRADES)
        assert early.frames == []
        for nonce in range(1, RECENT_TRADES_MAX + 5):
            await trade(floor, nonce)
        late = await listen(floor, TRADES)

        assert late.trade_ids() == trade_ids(floor)[-RECENT_TRADES_MAX:]
        assert early.trade_ids() == trade_ids(floor)


async def test_a_quiet_book_is_repeated(autojump_clock: trio.testing.MockClock) -> None:
    """A client can tell a quiet market from a dead connection; a busy book is throttled."""
    async with open_floor() as floor:
        listener = await listen(floor, BOOK)
        await trio.sleep(4 * BOOK_REPEAT_SECONDS + 0.1)
        quiet = len(listener.frames)
        started = trio.current_time()
        for nonce in range(1, 30):
            await floor.source.submit(order(ALICE, nonce, price=40_000))
            await trio.sleep(BOOK_SECONDS / 10)
        await trio.sleep(BOOK_SECONDS)
        busy = len(listener.frames) - quiet

        assert 4 <= quiet <= 6
        assert busy <= (trio.current_time() - started) / BOOK_SECONDS + 2
        assert listener.frames[-1]["levels"][0][0]["n"] == 29


@pytest.mark.parametrize("missed", [0, 1, 40])
async def test_after_a_crash_no_trade_is_missed_or_repeated(
    missed: int, autojump_clock: trio.testing.MockClock
) -> None:
    """What was traded while a market was down is shown once it is back; the book as well."""
    async with open_floor() as floor:
        trades, book = await listen(floor, TRADES), await listen(floor, BOOK)
        beside = await listen(floor, TRADES, asset=1)
        await trade(floor, 1)
        await crash_next(floor, MARKET)()
        floor.system.pool("markets").address(BTC.asset).tell("fall")
        for nonce in range(2, 2 + missed):
            await trade(floor, nonce)
            await trade(floor, 1000 + nonce, asset=1)
        frames = len(book.frames)
        await trio.sleep(1)
        await trade(floor, 500)
        await trio.sleep(1)

        assert floor.generation(MARKET) == 2
        assert trades.trade_ids() == trade_ids(floor)
        assert len(book.frames) > frames
        assert beside.trade_ids() == trade_ids(floor, 1)
        assert floor.generation("markets/1") == 1
        assert floor.market_channels.of(BTC.asset).epoch == 2


async def test_a_gap_that_cannot_be_filled_ends_the_stream(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """Where more was traded than a market remembers, a stream is ended rather than broken."""
    async with open_floor() as floor:
        trades, book = await listen(floor, TRADES), await listen(floor, BOOK)
        floor.system.inspect(MARKET).suspend()
        for nonce in range(1, TRADES_KEPT + 2):
            await trade(floor, nonce)
        await crash_next(floor, MARKET)()
        floor.system.inspect(MARKET).resume()
        await trio.sleep(1)

        assert trades.endings == [Ended.CRASHED]
        assert book.endings == []
        assert list(floor.market_channels.of(BTC.asset)) == [BOOK]


async def test_a_request_in_hand_survives_the_crash(autojump_clock: trio.testing.MockClock) -> None:
    """A subscriber whose request was in the batch that fell is served by the next incarnation."""
    async with open_floor() as floor:
        await listen(floor, BOOK)
        market = floor.system.pool("markets").address(BTC.asset)
        floor.system.inspect(MARKET).suspend()
        answers: list[object] = []
        market.tell(BlockPart(2**60, 0, 2**60 - 1, []))
        listener = listen_to_market(floor, BBO, BTC.asset)
        read = ReadMarketView(lambda view: view.mark)
        market.ask_nowait(read, lambda reply: answers.append(reply.error or reply.value))
        floor.system.inspect(MARKET).resume()
        await trio.sleep(1)

        assert floor.generation(MARKET) == 2
        assert len(listener.frames) == 1
        assert answers == [500_000]


async def test_a_question_that_raises_only_fails_its_asker(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """The view lives on."""
    async with open_floor() as floor:
        market = floor.system.pool("markets").address(BTC.asset)
        with pytest.raises(ZeroDivisionError):
            await market.ask(ReadMarketView(lambda _: 1 // 0))

        assert await market.ask(ReadMarketView(lambda view: view.mark)) == 500_000
        assert market.generation == 1


async def test_who_left_before_it_was_served_is_not_taken_in(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """A subscription that ended while its request was on the way leaves no trace."""
    async with open_floor() as floor:
        market = floor.system.pool("markets").address(BTC.asset)
        listener = Listener(BOOK)
        market.tell(Subscribe(BOOK, listener.subscription))
        listener.subscription.end(Ended.UNSUBSCRIBED)
        await trio.sleep(0.1)

        assert not floor.market_channels.of(BTC.asset)
        assert listener.frames == []


async def test_a_market_that_keeps_falling_stays_down_alone(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """Its budget is its own; the market beside goes on."""
    async with open_floor() as floor:
        await listen(floor, BOOK)
        beside = await listen(floor, BOOK, asset=1)
        market = floor.system.pool("markets").address(BTC.asset)
        for number in range(8):
            market.tell(BlockPart(2**60 + number, 0, 2**60 - 1, []))
            await trio.sleep(0.01)

        assert market.state is State.FAILED
        assert beside.endings == []
        assert floor.system.pool("markets").address(ETH.asset).state is State.RUNNING


async def test_the_board_shows_the_newest_numbers(autojump_clock: trio.testing.MockClock) -> None:
    """Whoever needs marks and mids reads them without asking each market."""
    async with open_floor() as floor:
        await listen(floor, BOOK, asset=1)
        assert floor.board.perps() == []
        await listen(floor, BOOK)
        await floor.source.submit(order(ALICE, 1, price=49_000))
        await trio.sleep(0.1)

        assert floor.board.marks() == [500_000, 300_000]
        assert floor.board.contexts[BTC.asset].oracle == 500_000
