"""The unmodified Python SDK trades: every kind of action that its users send."""

import time
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from hyperliquid.utils.types import Cloid

from tests.conformance.wallets import ALO, GTC, IOC, Wallet, wait_until
from tests.program.harness import Program

pytestmark = pytest.mark.program

Open = Callable[..., Wallet]

TAKER_FEE = Decimal("0.00045")
MAKER_FEE = Decimal("0.00015")


def dec(text: str) -> Decimal:
    assert isinstance(text, str), "amounts are decimal texts on the wire"
    return Decimal(text)


def test_a_resting_order_is_seen_at_once(open_wallet: Open, coin: str) -> None:
    """What rested is in its owner's open orders and in the public book when the answer arrives."""
    wallet = open_wallet()

    oid = wallet.rest(coin, 0.5, 1990)

    (order,) = wallet.info.open_orders(wallet.address)
    book = wallet.info.l2_snapshot(coin)
    assert order["oid"] == oid
    assert {key: order[key] for key in ("coin", "side", "limitPx", "sz", "origSz")} == {
        "coin": coin,
        "side": "B",
        "limitPx": "1990.0",
        "sz": "0.5",
        "origSz": "0.5",
    }
    assert book["coin"] == coin
    assert book["levels"] == [[{"px": "1990.0", "sz": "0.5", "n": 1}], []]


def test_a_partial_fill_leaves_the_rest_on_the_book(open_wallet: Open, coin: str) -> None:
    """A smaller taker gets its size at the maker's price; the maker's remainder stays."""
    maker, taker = open_wallet(), open_wallet()
    oid = maker.rest(coin, -1.0, 2010)

    status = taker.place(coin, 0.4, 2020, IOC)

    assert status["filled"]["totalSz"] == "0.4"
    assert status["filled"]["avgPx"] == "2010.0"
    (order,) = maker.info.open_orders(maker.address)
    assert (order["oid"], order["sz"], order["origSz"]) == (oid, "0.6", "1.0")
    assert maker.info.l2_snapshot(coin)["levels"] == [[], [{"px": "2010.0", "sz": "0.6", "n": 1}]]


def test_both_sides_of_a_trade_have_their_fill(open_wallet: Open, coin: str) -> None:
    """Maker and taker see one trade id, their own side, and the fee of their role."""
    maker, taker = open_wallet(), open_wallet()
    maker_oid = maker.rest(coin, -1.0, 2010)
    taker_oid = taker.place(coin, 0.4, 2010)["filled"]["oid"]

    (bought,) = taker.info.user_fills(taker.address)
    (sold,) = maker.info.user_fills(maker.address)

    notional = Decimal(2010) * Decimal("0.4")
    assert bought["tid"] == sold["tid"]
    assert (bought["oid"], sold["oid"]) == (taker_oid, maker_oid)
    assert (bought["side"], sold["side"]) == ("B", "A")
    assert (bought["dir"], sold["dir"]) == ("Open Long", "Open Short")
    assert (bought["crossed"], sold["crossed"]) == (True, False)
    assert (bought["px"], bought["sz"]) == (sold["px"], sold["sz"]) == ("2010.0", "0.4")
    assert dec(bought["fee"]) == notional * TAKER_FEE
    assert dec(sold["fee"]) == notional * MAKER_FEE
    assert bought["startPosition"] == bought["closedPnl"] == "0.0"
    assert taker.info.user_fills_by_time(taker.address, bought["time"]) == [bought]
    assert taker.info.user_fills_by_time(taker.address, bought["time"] + 1) == []


def test_modify_moves_an_order(open_wallet: Open, coin: str) -> None:
    """A modified order has a new id, a new place, and the old one is gone."""
    wallet = open_wallet()
    old = wallet.rest(coin, 0.5, 1990)

    answer = wallet.exchange.modify_order(old, coin, True, 0.7, 1980, GTC)

    (status,) = answer["response"]["data"]["statuses"]
    new = status["resting"]["oid"]
    assert new != old
    assert wallet.open_oids() == [new]
    assert wallet.info.l2_snapshot(coin)["levels"][0] == [{"px": "1980.0", "sz": "0.7", "n": 1}]
    assert wallet.info.query_order_by_oid(wallet.address, old)["order"]["status"] == "canceled"
    assert wallet.info.query_order_by_oid(wallet.address, new)["order"]["status"] == "open"


def test_modify_by_client_order_id(open_wallet: Open, coin: str) -> None:
    """An order is found for modifying by the id that its owner gave it."""
    wallet = open_wallet()
    mark = Cloid.from_int(7)
    wallet.rest(coin, 0.5, 1990, cloid=mark)

    wallet.exchange.modify_order(mark, coin, True, 0.5, 1985, GTC, cloid=mark)

    (order,) = wallet.info.open_orders(wallet.address)
    assert (order["limitPx"], order["cloid"]) == ("1985.0", mark.to_raw())


def test_modify_of_what_is_gone_is_refused(open_wallet: Open, coin: str) -> None:
    """A cancelled order cannot be modified, and nothing takes its place."""
    wallet = open_wallet()
    oid = wallet.rest(coin, 0.5, 1990)
    wallet.exchange.cancel(coin, oid)

    answer = wallet.exchange.modify_order(oid, coin, True, 0.5, 1985, GTC)

    (status,) = answer["response"]["data"]["statuses"]
    assert status == {"error": "Cannot modify canceled or filled order"}
    assert wallet.open_oids() == []


def test_cancel_by_oid(open_wallet: Open, coin: str) -> None:
    """A cancelled order is gone from the book but not forgotten; only its owner can do it."""
    wallet, other = open_wallet(), open_wallet()
    oid = wallet.rest(coin, 0.5, 1990)

    theirs = other.exchange.cancel(coin, oid)
    own = wallet.exchange.cancel(coin, oid)

    assert "error" in theirs["response"]["data"]["statuses"][0]
    assert own["response"] == {"type": "cancel", "data": {"statuses": ["success"]}}
    assert wallet.open_oids() == []
    assert wallet.info.l2_snapshot(coin)["levels"] == [[], []]
    known = wallet.info.query_order_by_oid(wallet.address, oid)
    assert (known["status"], known["order"]["status"]) == ("order", "canceled")
    assert known["order"]["order"]["sz"] == "0.5"


def test_cancel_by_cloid(open_wallet: Open, coin: str) -> None:
    """An order is cancelled by the id that its owner gave it."""
    wallet = open_wallet()
    mark = Cloid.from_str("0x00000000000000000000000000abcdef")
    oid = wallet.rest(coin, 0.5, 1990, cloid=mark)
    assert wallet.info.open_orders(wallet.address)[0]["cloid"] == mark.to_raw()

    answer = wallet.exchange.cancel_by_cloid(coin, mark)

    assert answer["response"]["data"]["statuses"] == ["success"]
    assert wallet.open_oids() == []
    known = wallet.info.query_order_by_cloid(wallet.address, mark)
    assert known["order"]["order"]["oid"] == oid
    assert known["order"]["status"] == "canceled"


def test_a_batch_has_a_status_for_each_order(open_wallet: Open, coin: str) -> None:
    """A good order lives though its neighbour is refused; a bulk cancel takes several."""
    wallet = open_wallet()
    order: dict[str, Any] = {
        "coin": coin,
        "is_buy": True,
        "sz": 0.5,
        "limit_px": 1990,
        "order_type": GTC,
        "reduce_only": False,
    }

    answer = wallet.exchange.bulk_orders(
        [order, {**order, "limit_px": 1990.123}, {**order, "limit_px": 1980}]
    )

    first, second, third = answer["response"]["data"]["statuses"]
    oids = [first["resting"]["oid"], third["resting"]["oid"]]
    assert second["error"].startswith("Price must be divisible by tick size.")
    assert sorted(wallet.open_oids()) == sorted(oids)
    cancels = [{"coin": coin, "oid": oid} for oid in oids]
    canceled = wallet.exchange.bulk_cancel(cancels)
    assert canceled["response"]["data"]["statuses"] == ["success", "success"]


def test_orders_of_one_price_fill_in_order_of_arrival(open_wallet: Open, coin: str) -> None:
    """Price first, then time: the better price trades first, then who came first."""
    first, second, best, taker = (open_wallet() for _ in range(4))
    first.rest(coin, -0.1, 2010)
    second.rest(coin, -0.1, 2010)
    best.rest(coin, -0.1, 2005)

    status = taker.place(coin, 0.15, 2010, IOC)

    assert status["filled"]["totalSz"] == "0.15"
    prices = [fill["px"] for fill in taker.info.user_fills(taker.address)]
    assert sorted(prices) == ["2005.0", "2010.0"]
    assert best.open_oids() == []
    assert first.info.open_orders(first.address)[0]["sz"] == "0.05"
    assert second.info.open_orders(second.address)[0]["sz"] == "0.1"


def test_an_order_never_trades_with_its_owner(open_wallet: Open, coin: str) -> None:
    """A taker that meets its owner's resting order cancels that one and goes on."""
    wallet, other = open_wallet(), open_wallet()
    own = wallet.rest(coin, -0.1, 2005)
    other.rest(coin, -0.1, 2010)

    status = wallet.place(coin, 0.1, 2010, IOC)

    assert status["filled"]["avgPx"] == "2010.0"
    known = wallet.info.query_order_by_oid(wallet.address, own)
    assert known["order"]["status"] == "selfTradeCanceled"


def test_market_open_and_market_close(open_wallet: Open, coin: str) -> None:
    """The SDK's market orders open a position at the book's price and close it again."""
    maker, taker = open_wallet(), open_wallet()
    maker.rest(coin, -1.0, 2001)
    maker.rest(coin, 1.0, 1999)

    opened = taker.exchange.market_open(coin, True, 0.5)
    (held,) = taker.info.user_state(taker.address)["assetPositions"]
    closed = taker.exchange.market_close(coin)

    assert opened["response"]["data"]["statuses"][0]["filled"]["avgPx"] == "2001.0"
    assert (held["position"]["coin"], held["position"]["szi"]) == (coin, "0.5")
    assert closed["response"]["data"]["statuses"][0]["filled"]["avgPx"] == "1999.0"
    assert taker.info.user_state(taker.address)["assetPositions"] == []
    newest = taker.info.user_fills(taker.address)[0]
    assert newest["dir"] == "Close Long"
    assert dec(newest["closedPnl"]) == Decimal("-1.0")


def test_user_state_agrees_with_hand_computed_numbers(
    open_wallet: Open, exchange: Program, coin: str
) -> None:
    """Cash, value, margin, profit and liquidation price are what pencil and paper give."""
    taker, maker = open_wallet(1_000), open_wallet(10_000)
    assert taker.exchange.update_leverage(10, coin)["status"] == "ok"
    before = taker.info.user_state(taker.address)
    assert before["marginSummary"] == {
        "accountValue": "1000.0",
        "totalNtlPos": "0.0",
        "totalRawUsd": "1000.0",
        "totalMarginUsed": "0.0",
    }
    assert before["withdrawable"] == "1000.0"
    assert before["assetPositions"] == []

    maker.rest(coin, -1.0, 2010)
    taker.place(coin, 1.0, 2010)

    # Mark 2000. Paid 2010 and a fee of 2010 * 0.045 % = 0.9045: cash 1000 - 2010 - 0.9045.
    state = taker.info.user_state(taker.address)
    (item,) = state["assetPositions"]
    position = item["position"]
    assert item["type"] == "oneWay"
    assert state["marginSummary"] == state["crossMarginSummary"]
    assert state["marginSummary"] == {
        "accountValue": "989.0955",
        "totalNtlPos": "2000.0",
        "totalRawUsd": "-1010.9045",
        "totalMarginUsed": "200.0",
    }
    assert state["crossMaintenanceMarginUsed"] == "40.0"  # 2000 / (2 * 25)
    assert state["withdrawable"] == "789.0955"  # the margin of 200 is also a tenth of 2000
    assert (position["coin"], position["szi"]) == (coin, "1.0")
    assert position["entryPx"] == "2010.0"
    assert position["positionValue"] == "2000.0"
    assert position["unrealizedPnl"] == "-10.0"
    assert position["marginUsed"] == "200.0"
    assert position["leverage"] == {"type": "cross", "value": 10}
    assert position["maxLeverage"] == 25
    assert float(position["returnOnEquity"]) == pytest.approx(-10 / (2010 / 10), abs=1e-6)
    liquidation = 2000 - (989.0955 - 40) / (1 - 0.02)
    assert float(position["liquidationPx"]) == pytest.approx(liquidation, abs=1e-2)

    exchange.move_oracle(coin, 2100)
    wait_until(lambda: taker.info.all_mids()[coin] == "2100.0")

    # Mark 2100: 90 more than was paid, and a tenth of 2100 in use.
    state = taker.info.user_state(taker.address)
    position = state["assetPositions"][0]["position"]
    assert position["unrealizedPnl"] == "90.0"
    assert position["entryPx"] == "2010.0"
    assert state["marginSummary"]["accountValue"] == "1089.0955"
    assert state["marginSummary"]["totalRawUsd"] == "-1010.9045"
    assert state["withdrawable"] == "879.0955"

    maker.rest(coin, 0.4, 2100)
    taker.place(coin, -0.4, 2100, reduce_only=True)

    # 0.4 sold 90 higher: 36 realised, fee 840 * 0.045 % = 0.378; cash + 840 - 0.378.
    state = taker.info.user_state(taker.address)
    position = state["assetPositions"][0]["position"]
    assert taker.info.user_fills(taker.address)[0]["closedPnl"] == "36.0"
    assert (position["szi"], position["entryPx"]) == ("0.6", "2010.0")
    assert position["unrealizedPnl"] == "54.0"
    assert state["marginSummary"]["totalRawUsd"] == "-171.2825"
    assert state["marginSummary"]["accountValue"] == "1088.7175"

    # The other side: sold 1.0 at 2010, bought 0.4 at 2100, as a maker.
    other = maker.info.user_state(maker.address)
    fees = (Decimal(2010) + Decimal(840)) * MAKER_FEE
    assert dec(other["marginSummary"]["totalRawUsd"]) == Decimal(10_000 + 2010 - 840) - fees
    assert other["assetPositions"][0]["position"]["szi"] == "-0.6"
    assert other["assetPositions"][0]["position"]["unrealizedPnl"] == "-54.0"


def test_an_agent_trades_for_its_master(open_wallet: Open, exchange: Program, coin: str) -> None:
    """What an approved agent signs is the master's order; it can trade and cannot move money."""
    import eth_account

    master = open_wallet()
    answer, secret = master.exchange.approve_agent("desk")
    assert answer == {"status": "ok", "response": {"type": "default"}}
    key = eth_account.Account.from_key(secret)
    agent = open_wallet(0, account=key, account_address=master.address)

    status = agent.place(coin, 0.5, 1990)

    assert master.open_oids() == [status["resting"]["oid"]]
    assert agent.open_oids() == []
    assert master.info.user_role(agent.address) == {
        "role": "agent",
        "data": {"user": master.address.lower()},
    }
    (listed,) = master.info.extra_agents(master.address)
    assert (listed["name"], listed["address"]) == ("desk", agent.address.lower())
    refused = agent.exchange.usd_transfer(1, master.address)
    assert refused["status"] == "err"
    assert refused["response"].startswith("Must deposit before performing actions. User: ")


def test_a_new_agent_of_a_name_replaces_the_old_one(open_wallet: Open, coin: str) -> None:
    """The unnamed agent that was approved last is the only one that may sign."""
    import eth_account

    master = open_wallet()
    keys = [eth_account.Account.from_key(master.exchange.approve_agent()[1]) for _ in range(2)]
    old, new = (open_wallet(0, account=key, account_address=master.address) for key in keys)

    refused = old.exchange.order(coin, True, 0.5, 1990, GTC)
    status = new.place(coin, 0.5, 1990)

    assert refused["status"] == "err"
    assert refused["response"].startswith("User or API Wallet ")
    assert "resting" in status


def test_usd_transfer(open_wallet: Open) -> None:
    """Money that is sent leaves one account and arrives in the other, and both ledgers say so."""
    sender, receiver = open_wallet(1_000), open_wallet(5)

    answer = sender.exchange.usd_transfer(12.5, receiver.address)

    assert answer["status"] == "ok"
    assert sender.info.user_state(sender.address)["withdrawable"] == "987.5"
    assert receiver.info.user_state(receiver.address)["withdrawable"] == "17.5"
    for wallet in (sender, receiver):
        delta = wallet.info.user_non_funding_ledger_updates(wallet.address, 0)[-1]["delta"]
        assert delta["type"] == "internalTransfer"
        assert delta["usdc"] == "12.5"
        assert delta["user"] == sender.address.lower()
        assert delta["destination"] == receiver.address.lower()


def test_update_leverage_changes_the_margin(open_wallet: Open, coin: str) -> None:
    """Leverage is kept per market, within the market's bounds."""
    maker, taker = open_wallet(), open_wallet()
    maker.rest(coin, -1.0, 2000)
    taker.exchange.update_leverage(5, coin)
    taker.place(coin, 1.0, 2000)
    assert taker.info.user_state(taker.address)["marginSummary"]["totalMarginUsed"] == "400.0"

    raised = taker.exchange.update_leverage(25, coin)
    refused = [taker.exchange.update_leverage(leverage, coin) for leverage in (0, 26)]

    assert raised == {"status": "ok", "response": {"type": "default"}}
    assert taker.info.user_state(taker.address)["marginSummary"]["totalMarginUsed"] == "80.0"
    for answer in refused:
        assert answer == {"status": "err", "response": "Invalid leverage value"}


def test_expires_after(open_wallet: Open, coin: str) -> None:
    """An action is carried out before its expiry and refused after it."""
    wallet = open_wallet()
    now = time.time_ns() // 1_000_000

    wallet.exchange.set_expires_after(now + 60_000)
    fresh = wallet.exchange.order(coin, True, 0.5, 1990, GTC)
    wallet.exchange.set_expires_after(now - 1)
    stale = wallet.exchange.order(coin, True, 0.5, 1980, GTC)

    assert fresh["status"] == "ok"
    assert stale == {"status": "err", "response": "Action already expired"}
    assert len(wallet.open_oids()) == 1


def test_noop_burns_a_nonce(open_wallet: Open) -> None:
    """A noop is carried out once; the same nonce does not work again."""
    wallet = open_wallet()
    nonce = time.time_ns() // 1_000_000

    answers = [wallet.exchange.noop(nonce) for _ in range(2)]

    assert answers[0] == {"status": "ok", "response": {"type": "default"}}
    assert answers[1] == {"status": "err", "response": f"Invalid nonce: duplicate nonce {nonce}"}


def test_post_only_rests_or_is_refused(open_wallet: Open, coin: str) -> None:
    """A post-only order that would not trade rests with its time in force."""
    wallet = open_wallet()

    oid = wallet.rest(coin, 0.5, 1990, tif=ALO)

    (order,) = wallet.info.frontend_open_orders(wallet.address)
    assert (order["oid"], order["tif"], order["orderType"]) == (oid, "Alo", "Limit")


def test_what_is_accepted_without_effect(open_wallet: Open) -> None:
    """Referral codes and builder fees, which clients send unasked, do no harm."""
    wallet = open_wallet()

    answers = [
        wallet.exchange.set_referrer("CCXT1"),
        wallet.exchange.approve_builder_fee(wallet.address, "0.01%"),
    ]

    assert [answer["status"] for answer in answers] == ["ok", "ok"]
