"""Every subscription that the Python SDK knows and this exchange offers delivers."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.conformance.shapes import FRAMES, misfits
from tests.conformance.wallets import IOC, Frames, Wallet
from tests.program.harness import Program

pytestmark = pytest.mark.program

Open = Callable[..., Wallet]


def trade(maker: Wallet, taker: Wallet, coin: str, size: float = 0.25) -> tuple[int, int]:
    """Let two wallets trade at 2010; return the ids of the maker's and the taker's order."""
    maker_oid = maker.rest(coin, -size, 2010)
    return maker_oid, taker.place(coin, size, 2010, IOC)["filled"]["oid"]


def test_all_mids(open_wallet: Open, coin: str) -> None:
    """All mids come at once, and again when one has moved."""
    wallet = open_wallet()
    frames = wallet.subscribe({"type": "allMids"})
    assert frames.next()["mids"][coin] == "2000.0"

    wallet.rest(coin, 0.5, 1980)
    wallet.rest(coin, -0.5, 2010)

    moved = frames.until(lambda data: data["mids"][coin] == "1995.0")
    assert moved["mids"]["BTC"] == "65000.0"


def test_l2_book(open_wallet: Open, coin: str) -> None:
    """The book comes at once, and again when it has changed."""
    wallet = open_wallet()
    frames = wallet.subscribe({"type": "l2Book", "coin": coin})
    first = frames.next()
    assert (first["coin"], first["levels"]) == (coin, [[], []])

    wallet.rest(coin, 0.5, 1990)

    changed = frames.until(lambda data: data["levels"][0])
    assert changed["levels"] == [[{"px": "1990.0", "sz": "0.5", "n": 1}], []]
    assert changed["time"] >= first["time"]


def test_bbo(open_wallet: Open, coin: str) -> None:
    """The best bid and ask come with every change of one of them, and only then."""
    wallet = open_wallet()
    frames = wallet.subscribe({"type": "bbo", "coin": coin})
    assert frames.next()["bbo"] == [None, None]

    wallet.rest(coin, 0.5, 1990)
    wallet.rest(coin, 0.5, 1980)
    wallet.rest(coin, -0.5, 2010)

    bid = {"px": "1990.0", "sz": "0.5", "n": 1}
    assert frames.next()["bbo"] == [bid, None]
    assert frames.next()["bbo"] == [bid, {"px": "2010.0", "sz": "0.5", "n": 1}]


def test_trades(open_wallet: Open, coin: str) -> None:
    """Recent trades come first, oldest first, then every new one, with both users."""
    maker, taker = open_wallet(), open_wallet()
    trade(maker, taker, coin, 0.25)
    trade(maker, taker, coin, 0.5)
    frames = taker.subscribe({"type": "trades", "coin": coin})
    assert [entry["sz"] for entry in frames.next()] == ["0.25", "0.5"]

    trade(maker, taker, coin, 0.75)

    (new,) = frames.next()
    assert (new["coin"], new["side"], new["px"], new["sz"]) == (coin, "B", "2010.0", "0.75")
    assert new["users"] == [taker.address.lower(), maker.address.lower()]


def test_candle(open_wallet: Open, coin: str) -> None:
    """The forming candle comes with the trades that form it, as one object."""
    maker, taker = open_wallet(), open_wallet()
    frames = taker.subscribe({"type": "candle", "coin": coin, "interval": "1m"})

    trade(maker, taker, coin)

    candle = frames.until(lambda data: data["n"] == 1)
    assert (candle["s"], candle["i"], candle["o"], candle["v"]) == (coin, "1m", "2010.0", "0.25")


def test_active_asset_context(open_wallet: Open, exchange: Program, coin: str) -> None:
    """A market's numbers come at once, and again when the oracle has moved."""
    wallet = open_wallet()
    frames = wallet.subscribe({"type": "activeAssetCtx", "coin": coin})
    first = frames.next()
    assert (first["coin"], first["ctx"]["markPx"]) == (coin, "2000.0")

    exchange.move_oracle(coin, 2050)

    moved = frames.until(lambda data: data["ctx"]["oraclePx"] == "2050.0")
    assert moved["ctx"]["markPx"] == "2050.0"


def test_active_asset_data(open_wallet: Open, coin: str) -> None:
    """What a user could trade in a market comes at once."""
    wallet = open_wallet()
    frames = wallet.subscribe({"type": "activeAssetData", "coin": coin, "user": wallet.address})

    data = frames.next()

    assert (data["coin"], data["user"]) == (coin, wallet.address.lower())
    assert data["leverage"]["type"] == "cross"


def test_order_updates(open_wallet: Open, coin: str) -> None:
    """Every step of an order comes in order: open, filled in part, cancelled with its remainder."""
    wallet, taker = open_wallet(), open_wallet()
    frames = wallet.subscribe({"type": "orderUpdates", "user": wallet.address})
    settle(wallet, frames, coin)

    oid = wallet.rest(coin, -1.0, 2010)
    taker.place(coin, 0.25, 2010, IOC)
    wallet.exchange.cancel(coin, oid)

    steps: list[Any] = []
    while len(steps) < 3:
        steps += frames.next()
    assert [(step["status"], step["order"]["sz"]) for step in steps] == [
        ("open", "1.0"),
        ("open", "0.75"),
        ("canceled", "0.75"),
    ]
    assert {step["order"]["oid"] for step in steps} == {oid}
    assert {step["order"]["timestamp"] for step in steps} == {steps[0]["order"]["timestamp"]}


def settle(wallet: Wallet, frames: Frames, coin: str) -> None:
    """Wait until a subscription without a snapshot is in force: the client hides its answer."""
    for attempt in range(50):
        oid = wallet.rest(coin, 0.5, 1000 + attempt)
        wallet.exchange.cancel(coin, oid)
        steps = frames.next()
        while steps[-1]["status"] != "canceled":
            steps = frames.next()
        if steps[-1]["order"]["oid"] == oid:
            return


def test_user_events(open_wallet: Open, coin: str) -> None:
    """Fills come on the user's channel."""
    maker, taker = open_wallet(), open_wallet()
    updates = taker.subscribe({"type": "userFills", "user": taker.address})
    frames = taker.subscribe({"type": "userEvents", "user": taker.address})
    updates.next()  # the later subscription follows on the same connection ...
    taker.info.user_state(taker.address)  # ... and this has been answered after it came in

    _, oid = trade(maker, taker, coin)

    (fill,) = frames.next()["fills"]
    assert (fill["coin"], fill["oid"], fill["sz"], fill["crossed"]) == (coin, oid, "0.25", True)


def test_user_fills(open_wallet: Open, coin: str) -> None:
    """Past fills come first and marked as such, then every new one."""
    maker, taker = open_wallet(), open_wallet()
    _, before = trade(maker, taker, coin)
    frames = taker.subscribe({"type": "userFills", "user": taker.address})
    snapshot = frames.next()
    assert snapshot["isSnapshot"] is True
    assert snapshot["user"] == taker.address.lower()
    assert [fill["oid"] for fill in snapshot["fills"]] == [before]

    _, oid = trade(maker, taker, coin)

    new = frames.next()
    assert not new.get("isSnapshot")
    assert [fill["oid"] for fill in new["fills"]] == [oid]
    assert new["fills"][0] == taker.info.user_fills(taker.address)[0]


def test_fills_of_a_new_user_begin_with_an_empty_snapshot(open_wallet: Open) -> None:
    """A snapshot comes although there is nothing in it."""
    wallet = open_wallet()

    frames = wallet.subscribe({"type": "userFills", "user": wallet.address})

    assert frames.next() == {"isSnapshot": True, "user": wallet.address.lower(), "fills": []}


def test_ledger_updates(open_wallet: Open, exchange: Program) -> None:
    """Movements of money come as they happen, after those that were."""
    wallet = open_wallet(100)
    frames = wallet.subscribe({"type": "userNonFundingLedgerUpdates", "user": wallet.address})
    snapshot = frames.next()
    assert snapshot["isSnapshot"] is True
    assert [entry["delta"]["usdc"] for entry in snapshot["nonFundingLedgerUpdates"]] == ["100.0"]

    exchange.fund(wallet.address, 25)

    (entry,) = frames.next()["nonFundingLedgerUpdates"]
    assert (entry["delta"]["type"], entry["delta"]["usdc"]) == ("deposit", "25.0")


def test_fundings_begin_with_an_empty_snapshot(open_wallet: Open) -> None:
    """Before the first full hour there is nothing to tell, and the stream says so."""
    wallet = open_wallet()

    frames = wallet.subscribe({"type": "userFundings", "user": wallet.address})

    assert frames.next() == {"isSnapshot": True, "user": wallet.address.lower(), "fundings": []}


def test_web_data(open_wallet: Open, coin: str) -> None:
    """The overview of front ends comes at once, and again with an order."""
    wallet = open_wallet()
    frames = wallet.subscribe({"type": "webData2", "user": wallet.address})
    assert misfits(frames.next(), FRAMES["webData2"]) == []

    oid = wallet.rest(coin, 0.5, 1990)

    data = frames.until(lambda data: data["openOrders"])
    assert [order["oid"] for order in data["openOrders"]] == [oid]


def test_a_liquidation(open_wallet: Open, exchange: Program, coin: str) -> None:
    """Who is liquidated is told so, with the fill that closed the position and in the ledger."""
    maker, wallet = open_wallet(100_000), open_wallet(100)
    wallet.exchange.update_leverage(25, coin)
    maker.rest(coin, -1, 2000)
    wallet.place(coin, 1, 2000, IOC)
    maker.rest(coin, 1, 1930)
    frames = wallet.subscribe({"type": "userEvents", "user": wallet.address})
    ledger = wallet.subscribe({"type": "userNonFundingLedgerUpdates", "user": wallet.address})
    ledger.next()  # the later subscription is in force, and so is the earlier one

    exchange.move_oracle(coin, 1935)  # below maintenance, above what the backstop takes over

    user = wallet.address.lower()
    event = frames.until(lambda data: "liquidation" in data)
    assert misfits(event, FRAMES["userEvents"]) == []
    assert event["liquidation"]["liquidated_user"] == user
    (entry,) = ledger.next()["nonFundingLedgerUpdates"]
    assert entry["delta"]["liquidatedPositions"] == [{"coin": coin, "szi": "1.0"}]
    (fill, *_) = wallet.info.user_fills(wallet.address)
    assert (fill["px"], fill["dir"]) == ("1930.0", "Close Long")
    assert fill["liquidation"] == {"liquidatedUser": user, "markPx": "1935.0", "method": "market"}
    assert wallet.info.user_state(wallet.address)["assetPositions"] == []


def test_unsubscribe_ends_the_frames(open_wallet: Open, coin: str) -> None:
    """After an unsubscription the same stream can be subscribed again, and begins anew."""
    wallet = open_wallet()
    subscription = {"type": "bbo", "coin": coin}
    frames = wallet.subscribe(subscription)
    frames.next()
    wallet.unsubscribe(frames)

    again = wallet.subscribe(subscription)

    assert again.next()["bbo"] == [None, None]
