"""A coin of a node as readers of the public API see it."""

from typing import Any

from model.ids import AssetId
from model.node.book import Move
from model.node.decimals import e8
from model.node.joiner import NodeBlock
from model.node.lines import Fill, FillBody
from model.node.views import LEGS_WAITING_MAX, CoinNews, NodeCoinState, NodeMarketView, TradePairs
from model.views.depth import Level


def fill(user: str, *, is_buy: bool, tid: int = 5, **more: Any) -> Fill:
    """Return one side of a match."""
    body: dict[str, Any] = {
        "coin": "BTC", "px": "100.5", "sz": "0.5", "side": "B" if is_buy else "A", "time": 1_000,
        "start_position": "0.0", "dir": "", "closed_pnl": "0.0", "hash": "0x1", "oid": 1,
        "crossed": is_buy, "fee": "0.0", "tid": tid, "fee_token": "USDC",
    }  # fmt: skip
    return Fill(user, e8("100.5"), e8("0.5"), is_buy, FillBody(**{**body, **more}))


def test_both_sides_make_one_trade() -> None:
    """A match is one print, with the aggressor's side, buyer and seller."""
    (trade,) = TradePairs().take(
        NodeBlock(7, 1_000, fills=[fill("buyer", is_buy=True), fill("seller", is_buy=False)])
    )

    assert (trade.buyer, trade.seller, trade.taker_is_buy) == ("buyer", "seller", True)
    assert (trade.price, trade.size, trade.height) == (e8("100.5"), e8("0.5"), 7)


def test_sides_in_two_lines() -> None:
    """The second side may come with a later line; until then there is no trade."""
    pairs = TradePairs()

    assert pairs.take(NodeBlock(7, 0, fills=[fill("buyer", is_buy=True)])) == []
    assert len(pairs.take(NodeBlock(7, 0, fills=[fill("seller", is_buy=False)]))) == 1


def test_single_sides_of_outcome_tokens() -> None:
    """Tokens that are minted or burnt leave single sides, which hold nobody up."""
    pairs = TradePairs()
    alone = [fill("a", is_buy=True, coin="#90", tid=tid) for tid in range(2_000)]
    both = [fill("b", is_buy=True, tid=9_999), fill("c", is_buy=False, tid=9_999)]

    trades = pairs.take(NodeBlock(7, 0, fills=[*alone, *both]))

    assert [trade.coin for trade in trades] == ["BTC"]
    assert pairs.single == len(alone) - LEGS_WAITING_MAX + 1


def test_view_follows_levels_and_trades() -> None:
    """Levels are set as they are told; trades make candles and the last price."""
    state = NodeCoinState(AssetId(0), "BTC", (Level(e8("100.0"), e8("2.0"), 2),), ())
    view = NodeMarketView(state, 0)
    (trade,) = TradePairs().take(
        NodeBlock(7, 1_000, fills=[fill("buyer", is_buy=True), fill("seller", is_buy=False)])
    )
    moves = (Move(True, e8("100.0"), e8("1.0"), 1), Move(False, e8("101.0"), e8("3.0"), 1))

    changes = view.apply(7, 1_000, [(0, CoinNews(AssetId(0), moves, (trade,)))])

    assert changes.book.best
    assert changes.trades == (trade,)
    assert view.book.bids.best() == Level(e8("100.0"), e8("1.0"), 1)
    assert view.context().twice_mid == e8("201.0")
    candle = view.forming("1m")
    assert candle is not None
    assert (candle.close, candle.lots, candle.count) == (e8("100.5"), e8("0.5"), 1)
