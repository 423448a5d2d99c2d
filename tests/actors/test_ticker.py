from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import trio

from actors.channels import Channel, Channels, Subscribe
from actors.frames import Frame
from actors.ticker import CONTEXTS_SECONDS, MIDS_REPEAT_SECONDS, MIDS_SECONDS, Board, Ticker
from model.ids import SPOT_ASSETS_FROM, AssetId
from model.views.market import MarketContext
from supervision import ChildSpec, SupervisorSpec, System, open_system
from tests.actors.listeners import Listener

MIDS = Channel("allMids")


class Wire:
    """Encodes how many markets there are."""

    def all_mids(self, contexts: Mapping[AssetId, MarketContext]) -> Frame:
        return Frame(b'{"data":%d}' % len(contexts))

    def contexts(self, channel: Channel, board: Board) -> Frame | None:
        shown = board.pairs() if channel.kind == "spotAssetCtxs" else board.perps()
        return Frame(b'{"data":%d}' % len(shown))


def context(mark: int = 1) -> MarketContext:
    return MarketContext(1, mark, None, None, None, 0, 1, 0, 0)


@asynccontextmanager
async def open_ticker(board: Board, channels: Channels) -> AsyncIterator[System]:
    spec = SupervisorSpec([ChildSpec("ticker", lambda: Ticker(board, Wire(), channels))])
    async with open_system(spec) as system:
        yield system


async def test_mids_come_on_change_and_now_and_then(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """At once when somebody subscribes, then at a bounded pace."""
    board, listener = Board(), Listener(MIDS)
    async with open_ticker(board, Channels()) as system:
        system.address("ticker").tell(Subscribe(MIDS, listener.subscription))
        await trio.sleep(0.01)
        assert listener.frames == [0]
        await trio.sleep(4 * MIDS_REPEAT_SECONDS)
        assert 4 <= len(listener.frames) <= 6
        quiet = len(listener.frames)
        for asset in range(100):
            board.show(AssetId(asset), context())
            await trio.sleep(MIDS_SECONDS / 10)

        assert 9 <= len(listener.frames) - quiet <= 12


async def test_subscribers_survive_a_crash(autojump_clock: trio.testing.MockClock) -> None:
    """A new incarnation goes on where the last one fell."""
    channels, listener = Channels(), Listener(MIDS)
    async with open_ticker(Board(), channels) as system:
        system.address("ticker").tell(Subscribe(MIDS, listener.subscription))
        await trio.sleep(0.01)

        def fall(actor: object) -> None:
            actor._publish = None  # type: ignore[attr-defined]

        await system.probe("ticker", fall)
        await trio.sleep(3 * MIDS_REPEAT_SECONDS)

        assert channels.epoch == 2
        assert len(listener.frames) >= 3


def test_the_board_is_read_up_to_the_first_gap() -> None:
    """Answers by asset id must not shift: a market that shows nothing yet hides those behind it."""
    board = Board()
    board.show(AssetId(0), context(5))
    board.show(AssetId(2), context(7))
    assert board.marks() == [5]
    board.show(AssetId(1), context(6))

    assert board.marks() == [5, 6, 7]


async def test_contexts_of_all_markets_have_their_own_pace(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """Perpetuals and pairs are shown apart, at once and then at most once a second."""
    board, perps, pairs = (
        Board(),
        Listener(Channel("assetCtxs")),
        Listener(Channel("spotAssetCtxs")),
    )
    board.show(SPOT_ASSETS_FROM, context())
    async with open_ticker(board, Channels()) as system:
        for listener in (perps, pairs):
            system.address("ticker").tell(Subscribe(listener.channel, listener.subscription))
        await trio.sleep(0.01)
        assert (perps.frames, pairs.frames) == ([0], [1])
        for asset in range(20):
            board.show(AssetId(asset), context())
            await trio.sleep(CONTEXTS_SECONDS / 10)

        assert 2 <= len(perps.frames) <= 5
