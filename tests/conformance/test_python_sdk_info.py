"""What the Python SDK asks at start-up and afterwards is answered in the form that it expects."""

import time
from collections.abc import Callable
from typing import Any

import pytest
from hyperliquid.info import Info

from tests.conformance.wallets import IOC, Wallet
from tests.program.harness import Program

pytestmark = pytest.mark.program

Open = Callable[..., Wallet]

STRANGER = "0x000000000000000000000000000000000000dEaD"


@pytest.fixture
def info(open_wallet: Open) -> Any:
    """The SDK's read side."""
    return open_wallet(0).info


def test_the_client_starts(exchange: Program) -> None:
    """The SDK's constructor, which asks for metadata, succeeds with and without a list of dexes."""
    for dexes in (None, [""]):
        info = Info(exchange.url, skip_ws=True, perp_dexs=dexes)
        assert info.name_to_asset("BTC") == 0
        assert info.name_to_asset("7203") == 3
        assert info.asset_to_sz_decimals[0] == 5
        info.session.close()


def test_metadata(info: Any) -> None:
    """The universe names every market with its decimals and leverage, tokens and pairs too."""
    universe = info.meta()["universe"]
    assert universe[0]["name"] == "BTC"
    assert (universe[0]["szDecimals"], universe[0]["maxLeverage"]) == (5, 40)
    spot = info.spot_meta()
    assert [token["name"] for token in spot["tokens"]] == ["USDC", "SAKE"]
    (pair,) = spot["universe"]
    assert (pair["name"], pair["tokens"]) == ("SAKE/USDC", [1, 0])
    assert info.perp_dexs() == [None]
    again, (context,) = info.spot_meta_and_asset_ctxs()
    assert again == spot
    assert (context["coin"], context["markPx"]) == ("SAKE/USDC", "2.5")


def test_contexts_are_in_the_order_of_the_universe(info: Any) -> None:
    """Every market has its context, and a market without a book shows its mark and no mid."""
    meta, contexts = info.meta_and_asset_ctxs()

    assert len(contexts) == len(meta["universe"])
    assert contexts[0]["oraclePx"] == contexts[0]["markPx"] == "65000.0"
    assert {"funding", "openInterest", "prevDayPx", "dayNtlVlm", "midPx"} <= contexts[0].keys()


def test_mids_fall_back_to_the_mark(info: Any, open_wallet: Open, coin: str) -> None:
    """Where a side of the book is empty, the mark price stands in; else it is the middle."""
    wallet = open_wallet()
    assert info.all_mids()[coin] == "2000.0"

    wallet.rest(coin, 0.5, 1980)
    assert info.all_mids()[coin] == "2000.0"
    wallet.rest(coin, -0.5, 2000)
    assert info.all_mids()[coin] == "1990.0"


def test_a_stranger_has_empty_everything(info: Any) -> None:
    """An address that was never seen is not an error."""
    state = info.user_state(STRANGER)
    assert state["marginSummary"]["accountValue"] == "0.0"
    assert (state["withdrawable"], state["assetPositions"]) == ("0.0", [])
    assert info.spot_user_state(STRANGER) == {"balances": []}
    assert info.open_orders(STRANGER) == []
    assert info.frontend_open_orders(STRANGER) == []
    assert info.user_fills(STRANGER) == []
    assert info.user_fills_by_time(STRANGER, 0) == []
    assert info.historical_orders(STRANGER) == []
    assert info.user_funding_history(STRANGER, 0) == []
    assert info.user_non_funding_ledger_updates(STRANGER, 0) == []
    assert info.query_order_by_oid(STRANGER, 1) == {"status": "unknownOid"}
    assert info.user_role(STRANGER) == {"role": "missing"}
    assert info.extra_agents(STRANGER) == []
    assert info.query_sub_accounts(STRANGER) is None
    assert info.query_user_abstraction_state(STRANGER) == "default"


def test_fees_and_limits(info: Any) -> None:
    """Fees are the configured ones; the request budget is shown."""
    fees = info.user_fees(STRANGER)
    assert (fees["userCrossRate"], fees["userAddRate"]) == ("0.00045", "0.00015")
    assert {"cumVlm", "nRequestsUsed", "nRequestsCap"} <= info.user_rate_limit(STRANGER).keys()


def test_portfolio_has_its_eight_periods(info: Any) -> None:
    """The periods come in the order that clients index them by."""
    periods = [name for name, _history in info.portfolio(STRANGER)]

    assert periods == [
        "day",
        "week",
        "month",
        "allTime",
        "perpDay",
        "perpWeek",
        "perpMonth",
        "perpAllTime",
    ]


def test_candles_and_trades(info: Any, open_wallet: Open, exchange: Program, coin: str) -> None:
    """A trade is in the candle of its minute and in the recent trades."""
    maker, taker = open_wallet(), open_wallet()
    maker.rest(coin, -1.0, 2010)
    begin = time.time_ns() // 1_000_000
    taker.place(coin, 0.25, 2010, IOC)

    candles = info.candles_snapshot(coin, "1m", begin - 60_000, begin + 60_000)
    (trade,) = exchange.info("recentTrades", coin=coin)

    assert {key: candles[-1][key] for key in "sicv"} == {
        "s": coin,
        "i": "1m",
        "c": "2010.0",
        "v": "0.25",
    }
    assert candles[-1]["T"] - candles[-1]["t"] == 59_999
    assert (trade["px"], trade["sz"], trade["side"]) == ("2010.0", "0.25", "B")
    assert trade["users"] == [taker.address.lower(), maker.address.lower()]
    assert trade["tid"] == taker.info.user_fills(taker.address)[0]["tid"]


def test_historical_orders(open_wallet: Open, coin: str) -> None:
    """What became of orders is remembered, newest first."""
    wallet = open_wallet()
    oids = [wallet.rest(coin, 0.5, price) for price in (1990, 1980)]
    wallet.exchange.cancel(coin, oids[0])

    history = wallet.info.historical_orders(wallet.address)

    assert [(entry["order"]["oid"], entry["status"]) for entry in history] == [
        (oids[0], "canceled"),
        (oids[1], "open"),
        (oids[0], "open"),
    ]


def test_addresses_are_answered_in_lower_case(open_wallet: Open, exchange: Program) -> None:
    """Whatever letter case is asked with, clients compare the answer with lower case."""
    wallet = open_wallet()

    data = exchange.info("activeAssetData", user=wallet.address, coin="BTC")

    assert data["user"] == wallet.address.lower()
    assert data["markPx"] == "65000.0"
    assert data["leverage"]["type"] == "cross"


@pytest.mark.parametrize(
    "kind", ["allPerpMetas", "outcomeMeta", "exchangeStatus", "meta", "spotMeta", "allMids"]
)
def test_what_other_clients_ask_at_start_up(exchange: Program, kind: str) -> None:
    """The start-up questions of the other published clients have an answer."""
    assert exchange.info(kind)


def test_book_aggregation(open_wallet: Open, exchange: Program, coin: str) -> None:
    """With significant figures bids round down and asks up, and the spread is told."""
    wallet = open_wallet()
    for size, price in ((0.1, 1994.7), (0.1, 1993.2), (-0.1, 2003.3), (-0.1, 2006.1)):
        wallet.rest(coin, size, price)

    book = exchange.info("l2Book", coin=coin, nSigFigs=3)

    assert book["levels"] == [
        [{"px": "1990.0", "sz": "0.2", "n": 2}],
        [{"px": "2010.0", "sz": "0.2", "n": 2}],
    ]
    assert book["spread"] == "20.0"
    assert exchange.info("l2Book", coin="NOSUCH") is None
