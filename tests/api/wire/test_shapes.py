"""Every shape has the keys of the wire, in its order, and decimals as texts."""

from typing import Any

import msgspec
import pytest

from api.wire import account, fills, frames, ledger, market, metadata, orders, overview, terms
from api.wire.decimals import half_price_text
from model.commands import OpenExchange, Tif
from model.ids import Address, AssetId, Cloid, OrderId, TradeId
from model.instruments import Instrument
from model.state import AccountState, AgentState, PositionState, RequestState
from model.units import USD
from model.universe import Universe
from model.views.account import AccountView
from model.views.market import MarketContext
from model.views.money import DEPOSIT, INTERNAL_TRANSFER
from model.views.records import (
    Candle,
    Fill,
    LedgerRecord,
    OrderRecord,
    TradeRecord,
    transaction_hash,
)
from model.views.summary import AssetSummary, summarize

BTC, ETH = AssetId(0), AssetId(1)
ALICE = Address("0x" + "a" * 40)
BOB = Address("0x" + "b" * 40)
CLOID = Cloid("0x" + "1" * 32)
NOW_MS = 1_700_000_000_000
UNIVERSE = Universe(
    [
        Instrument(BTC, "BTC", 5, 40, 65_000 * 10**8),
        Instrument(ETH, "ETH", 4, 25, 2_000 * 10**8),
    ]
)
HASH = transaction_hash(7, 2)


def wire(shape: Any) -> Any:
    """Return what a client reads of a shape."""
    return msgspec.json.decode(frames.encode(shape))


def keys(shape: Any) -> list[str]:
    """Return the keys of a shape in the order of the wire."""
    return list(wire(shape))


def resting(cloid: Cloid | None = CLOID, tif: Tif = Tif.GTC) -> OrderRecord:
    """Return a reduce-only buy of 0.00037 BTC of which 0.0003 are left."""
    return OrderRecord(
        ALICE, BTC, OrderId(5), cloid, True, 317_950, 37, 30, tif, True, NOW_MS, "open", NOW_MS
    )


def record(status: str = "open") -> OrderRecord:
    """Return the record of a sell of 0.5 ETH, not reduce-only, without client id."""
    return OrderRecord(
        ALICE, ETH, OrderId(6), None, False, 200_000, 5_000, 5_000, Tif.ALO, False, 10, status, 20
    )


def a_fill(tid: int = 9, price: int = 200_000, lots: int = 500, cloid: Cloid | None = None) -> Fill:
    """Return a fill in which the account sells ETH that it was long of."""
    return Fill(
        ALICE,
        ETH,
        OrderId(10),
        TradeId(tid),
        cloid,
        False,
        True,
        price,
        lots,
        5_000,
        1_500_000,
        45_000,
        NOW_MS,
        7,
        2,
    )


def a_context() -> MarketContext:
    """Return a context with all its numbers."""
    return MarketContext(
        143_200,
        143_161,
        286_280,
        (143_047, 143_444),
        3_177_400,
        6_881_100,
        153_220,
        1_000,
        1_234_500,
    )


def test_frame_is_channel_and_data() -> None:
    """The bytes of a frame are compact JSON, and user events are pushed on the channel *user*."""
    assert frames.frame("trades", [1]) == b'{"channel":"trades","data":[1]}'
    assert frames.channel_of("userEvents") == "user"
    assert frames.channel_of("bbo") == "bbo"


def test_meta_lists_markets_and_pairs_of_margin_tables() -> None:
    """Entries stand by asset id; margin tables are pairs of id and table."""
    assert wire(metadata.meta(UNIVERSE.perps)) == {
        "universe": [
            {"szDecimals": 5, "name": "BTC", "maxLeverage": 40, "marginTableId": 40},
            {"szDecimals": 4, "name": "ETH", "maxLeverage": 25, "marginTableId": 25},
        ],
        "marginTables": [
            [25, {"description": "", "marginTiers": [{"lowerBound": "0.0", "maxLeverage": 25}]}],
            [40, {"description": "", "marginTiers": [{"lowerBound": "0.0", "maxLeverage": 40}]}],
        ],
        "collateralToken": 0,
    }


def test_fixed_answers_boot_the_clients() -> None:
    """What is asked for at start-up has the forms that clients accept of a perpetuals exchange."""
    answers = {name: msgspec.json.decode(body) for name, body in metadata.FIXED_ANSWERS.items()}

    assert answers["perpDexs"] == [None]
    assert answers["outcomeMeta"] == {"outcomes": [], "questions": []}
    assert answers["userAbstraction"] == "default"
    assert answers["maxBuilderFee"] == 0
    assert answers["userVaultEquities"] == []


def test_exchange_status_tells_the_time() -> None:
    """The special statuses are null."""
    assert wire(metadata.exchange_status(5)) == {"time": 5, "specialStatuses": None}


def test_context_has_every_key_in_order() -> None:
    """Figures are in USD and in units of the base asset; the mid may be half a tick."""
    assert wire(market.perp_context(a_context(), UNIVERSE[ETH])) == {
        "funding": "0.0",
        "openInterest": "688.11",
        "prevDayPx": "1532.2",
        "dayNtlVlm": "1.2345",
        "premium": "0.00031774",
        "oraclePx": "1432.0",
        "markPx": "1431.61",
        "midPx": "1431.4",
        "impactPxs": ["1430.47", "1434.44"],
        "dayBaseVlm": "0.1",
    }
    assert half_price_text(1_300_001, UNIVERSE[BTC]) == "65000.05"


def test_context_of_a_thin_book_has_nulls() -> None:
    """Premium, mid and impact prices are null; oracle and mark never are."""
    thin = MarketContext(650_000, 650_000, None, None, None, 0, 650_000, 0, 0)

    shape = wire(market.perp_context(thin, UNIVERSE[BTC]))

    assert (shape["premium"], shape["midPx"], shape["impactPxs"]) == (None, None, None)
    assert (shape["oraclePx"], shape["markPx"]) == ("65000.0", "65000.0")
    assert market.mid_text(thin, UNIVERSE[BTC]) == "65000.0"


def test_meta_and_contexts_have_the_same_order() -> None:
    """The second element has one context for each market."""
    meta, contexts = wire(market.meta_and_contexts(UNIVERSE.perps, [a_context(), a_context()]))

    assert [entry["name"] for entry in meta["universe"]] == ["BTC", "ETH"]
    assert len(contexts) == 2
    active = market.active_asset_context(a_context(), UNIVERSE[BTC])
    assert wire(active) == {"coin": "BTC", "ctx": contexts[0]}


def test_all_mids_are_wrapped_only_in_frames() -> None:
    """The frame has the key *mids* and no other."""
    assert wire(market.all_mids({"BTC": "65000.05"})) == {"mids": {"BTC": "65000.05"}}


def test_trade_shows_the_aggressors_side_and_both_users() -> None:
    """Keys, order and buyer first."""
    trade = TradeRecord(ETH, TradeId(9), False, 200_000, 500, BOB, ALICE, NOW_MS, 7, 2)

    assert list(wire(market.trades([trade], UNIVERSE[ETH]))[0].items()) == [
        ("coin", "ETH"),
        ("side", "A"),
        ("px", "2000.0"),
        ("sz", "0.05"),
        ("time", NOW_MS),
        ("hash", HASH),
        ("tid", 9),
        ("users", [BOB, ALICE]),
    ]


def test_candle_has_one_letter_keys() -> None:
    """The last ms of the interval is its end."""
    candle = Candle(
        ETH, "1m", NOW_MS - 20_000, 200_000, 200_200, 199_900, 200_100, 15_000, 3 * 10**9, 3
    )

    assert list(wire(market.candle(candle, UNIVERSE[ETH])).items()) == [
        ("t", NOW_MS - 20_000),
        ("T", NOW_MS + 39_999),
        ("s", "ETH"),
        ("i", "1m"),
        ("o", "2000.0"),
        ("c", "2001.0"),
        ("h", "2002.0"),
        ("l", "1999.0"),
        ("v", "1.5"),
        ("n", 3),
    ]


def test_basic_order_leaves_out_what_is_not_there() -> None:
    """Client id and reduce-only appear only when they say something."""
    with_all, with_little = wire(orders.basic_orders([resting(), record()], UNIVERSE))

    assert with_all == {
        "coin": "BTC",
        "side": "B",
        "limitPx": "31795.0",
        "sz": "0.0003",
        "oid": 5,
        "timestamp": NOW_MS,
        "origSz": "0.00037",
        "cloid": CLOID,
        "reduceOnly": True,
    }
    assert list(with_little) == ["coin", "side", "limitPx", "sz", "oid", "timestamp", "origSz"]


@pytest.mark.parametrize(
    ("tif", "tif_text", "order_type"),
    [
        (Tif.GTC, "Gtc", "Limit"),
        (Tif.IOC, "Ioc", "Limit"),
        (Tif.ALO, "Alo", "Limit"),
        (Tif.FRONTEND_MARKET, "FrontendMarket", "Market"),
    ],
)
def test_frontend_order_has_every_key(tif: Tif, tif_text: str, order_type: str) -> None:
    """Nothing is left out, whether it says something or not."""
    (shape,) = wire(orders.frontend_orders([resting(None, tif)], UNIVERSE))

    assert shape == {
        "coin": "BTC",
        "side": "B",
        "limitPx": "31795.0",
        "sz": "0.0003",
        "oid": 5,
        "timestamp": NOW_MS,
        "triggerCondition": "N/A",
        "isTrigger": False,
        "triggerPx": "0.0",
        "children": [],
        "isPositionTpsl": False,
        "reduceOnly": True,
        "orderType": order_type,
        "origSz": "0.00037",
        "tif": tif_text,
        "cloid": None,
    }


def test_order_update_names_status_and_its_time() -> None:
    """The order keeps its creation time, the status has its own; there is no user key."""
    (update,) = wire(orders.order_updates([record("canceled")], UNIVERSE))

    assert list(update) == ["order", "status", "statusTimestamp"]
    assert (update["status"], update["statusTimestamp"]) == ("canceled", 20)
    assert (update["order"]["timestamp"], update["order"]["sz"]) == (10, "0.5")


def test_order_status_wraps_the_order_twice() -> None:
    """A known order has status *order*, an unknown one nothing but *unknownOid*."""
    found = wire(orders.order_status(record("filled"), UNIVERSE))

    assert found["status"] == "order"
    assert found["order"]["status"] == "filled"
    assert found["order"]["order"]["oid"] == 6
    assert wire(orders.order_status(None, UNIVERSE)) == {"status": "unknownOid"}
    assert keys(orders.historical_orders([record()], UNIVERSE)[0]) == [
        "order",
        "status",
        "statusTimestamp",
    ]


def test_open_orders_frame_names_the_user() -> None:
    """The main dex is the empty text."""
    frame = wire(orders.open_orders(ALICE, [resting()], UNIVERSE))

    assert (frame["dex"], frame["user"], len(frame["orders"])) == ("", ALICE, 1)


def test_fill_has_every_key_in_order() -> None:
    """The client id comes last, and only if there is one."""
    expected = {
        "coin": "ETH",
        "px": "2000.0",
        "sz": "0.05",
        "side": "A",
        "time": NOW_MS,
        "startPosition": "0.5",
        "dir": "Close Long",
        "closedPnl": "1.5",
        "hash": HASH,
        "oid": 10,
        "crossed": True,
        "fee": "0.045",
        "tid": 9,
        "feeToken": "USDC",
        "twapId": None,
    }

    plain, named = wire(fills.fills([a_fill(), a_fill(cloid=CLOID)], UNIVERSE))

    assert list(plain.items()) == list(expected.items())
    assert named == {**expected, "cloid": CLOID}


def test_fills_of_one_order_at_one_moment_can_be_merged() -> None:
    """Sizes, profits and fees add up and the price is the average; other orders stay apart."""
    parts = [a_fill(9, 200_000, 500), a_fill(10, 199_900, 1_000)]

    (merged,) = wire(fills.fills(parts, UNIVERSE, by_time=True))

    assert (merged["sz"], merged["closedPnl"], merged["fee"]) == ("0.15", "3.0", "0.09")
    assert merged["px"] == "1999.33333333"
    assert (merged["tid"], merged["startPosition"]) == (9, "0.5")
    assert wire(fills.fills(parts[:1], UNIVERSE, by_time=True)) == wire(
        fills.fills(parts[:1], UNIVERSE)
    )


def test_user_fills_say_snapshot_only_when_they_are_one() -> None:
    """Later frames leave the key out; the first is sent even when it is empty."""
    first = wire(fills.user_fills(ALICE, [], UNIVERSE, is_snapshot=True))
    later = wire(fills.user_fills(ALICE, [a_fill()], UNIVERSE))

    assert first == {"user": ALICE, "fills": [], "isSnapshot": True}
    assert list(later) == ["user", "fills"]
    assert keys(fills.fill_events([a_fill()], UNIVERSE)) == ["fills"]


@pytest.mark.parametrize(
    ("status", "is_told"),
    [
        ("canceled", False),
        ("filled", False),
        ("selfTradeCanceled", True),
        ("marginCanceled", True),
        ("reduceOnlyCanceled", True),
        ("perpMarginRejected", False),
    ],
)
def test_cancels_by_the_exchange_are_told_apart(status: str, is_told: bool) -> None:
    """Only what the user did not ask for is a cancel event."""
    shape = fills.cancel_events([record(status)], UNIVERSE)

    expected = {"nonUserCancel": [{"coin": "ETH", "oid": 6}]} if is_told else None
    assert wire(shape) == expected


def test_recorded_clearinghouse_state_reads_as_recorded() -> None:
    """A recorded account, key by key."""
    universe = Universe([Instrument(BTC, "BTC", 5, 40, 80_000 * 10**8)])
    entry = 377_667_000_000 - 11_884_306_507
    state = AccountState(
        ALICE, True, -339_414_300_000, 0, (PositionState(BTC, 450_000, entry, True, 10),), (), ()
    )
    summary = summarize(AccountView(state, universe), universe, [839_260])
    totals = {
        "accountValue": "38252.7",
        "totalNtlPos": "377667.0",
        "totalRawUsd": "-339414.3",
        "totalMarginUsed": "37766.7",
    }

    shape = wire(account.clearinghouse_state(summary, universe, time_ms=NOW_MS))

    assert list(shape) == [
        "marginSummary",
        "crossMarginSummary",
        "crossMaintenanceMarginUsed",
        "withdrawable",
        "assetPositions",
        "time",
    ]
    assert shape["marginSummary"] == shape["crossMarginSummary"] == totals
    assert shape["crossMaintenanceMarginUsed"] == "4720.8375"
    assert shape["withdrawable"] == "486.0"
    position = shape["assetPositions"][0]["position"]
    assert shape["assetPositions"][0]["type"] == "oneWay"
    assert position.pop("liquidationPx").startswith("76380.15")
    assert position == {
        "coin": "BTC",
        "szi": "4.5",
        "leverage": {"type": "cross", "value": 10},
        "entryPx": "81285.0",
        "positionValue": "377667.0",
        "unrealizedPnl": "11884.306507",
        "returnOnEquity": "0.3249007326",
        "marginUsed": "37766.7",
        "maxLeverage": 40,
        "cumFunding": {"allTime": "0.0", "sinceOpen": "0.0", "sinceChange": "0.0"},
    }


def test_empty_account_has_zeros_and_no_positions() -> None:
    """An unknown user is answered like an empty account."""
    view = AccountView(AccountState(ALICE, False, 0, 0, (), (), ()), UNIVERSE)
    summary = summarize(view, UNIVERSE, [650_000, 200_000])
    state = account.clearinghouse_state(summary, UNIVERSE, time_ms=NOW_MS)

    shape = wire(state)

    assert set(shape["marginSummary"].values()) == {"0.0"}
    assert (shape["assetPositions"], shape["withdrawable"]) == ([], "0.0")
    assert keys(account.clearinghouse_frame(ALICE, state)) == ["dex", "user", "clearinghouseState"]


def test_active_asset_data_has_pairs_of_buy_and_sell() -> None:
    """Sizes are in the base asset and amounts are margin."""
    summary = AssetSummary(ETH, 10, 200_000, 12_500, 13_100, 250 * USD, 262 * USD)

    assert wire(account.active_asset_data(ALICE, summary, UNIVERSE[ETH])) == {
        "user": ALICE,
        "coin": "ETH",
        "leverage": {"type": "cross", "value": 10},
        "maxTradeSzs": ["1.25", "1.31"],
        "availableToTrade": ["250.0", "262.0"],
        "markPx": "2000.0",
    }


def test_ledger_tells_deposits_and_transfers_by_type() -> None:
    """The type stands inside the delta."""
    entries = [
        LedgerRecord(ALICE, DEPOSIT, 5 * USD, ALICE, ALICE, 0, 1, 7, 2),
        LedgerRecord(ALICE, INTERNAL_TRANSFER, 2 * USD, ALICE, BOB, 0, 2, 7, 2),
    ]

    assert wire(ledger.ledger_updates(entries, UNIVERSE)) == [
        {"time": 1, "hash": HASH, "delta": {"type": "deposit", "usdc": "5.0"}},
        {
            "time": 2,
            "hash": HASH,
            "delta": {
                "type": "internalTransfer",
                "usdc": "2.0",
                "user": ALICE,
                "destination": BOB,
                "fee": "0.0",
            },
        },
    ]
    assert keys(ledger.ledger_frame(ALICE, entries, UNIVERSE)) == [
        "user",
        "nonFundingLedgerUpdates",
    ]
    assert wire(ledger.ledger_frame(ALICE, [], UNIVERSE, is_snapshot=True))["isSnapshot"] is True


def test_user_fees_show_the_rates_in_force() -> None:
    """The rates of the log are the user's rates and those of the schedule."""
    day = terms.day_volume("2025-01-31", taker=USD, maker=0, exchange=3 * USD)

    shape = wire(terms.user_fees([day], OpenExchange(450, 150), None))

    assert shape["dailyUserVlm"] == [
        {"date": "2025-01-31", "userCross": "1.0", "userAdd": "0.0", "exchange": "3.0"}
    ]
    assert (shape["userCrossRate"], shape["userAddRate"]) == ("0.00045", "0.00015")
    assert (shape["feeSchedule"]["cross"], shape["feeSchedule"]["add"]) == ("0.00045", "0.00015")
    assert list(shape) == [
        "dailyUserVlm",
        "feeSchedule",
        "userCrossRate",
        "userAddRate",
        "userSpotCrossRate",
        "userSpotAddRate",
        "activeReferralDiscount",
        "trial",
        "feeTrialEscrow",
        "nextTrialAvailableTimestamp",
        "stakingLink",
        "activeStakingDiscount",
    ]


def test_rate_limit_grows_with_every_dollar_traded() -> None:
    """Ten thousand requests to start with, and one for each whole USD."""
    shape = wire(
        terms.user_rate_limit(volume=2_854_574_590_000, requests=RequestState(2_890, 0, 0))
    )

    assert shape == {
        "cumVlm": "2854574.59",
        "nRequestsUsed": 2_890,
        "nRequestsCap": 2_864_574,
        "nRequestsSurplus": 0,
    }


def test_roles_of_addresses() -> None:
    """Accounts are users, agents name their master, others are missing."""
    assert wire(terms.user_role(known=True)) == {"role": "user"}
    assert wire(terms.user_role(known=False)) == {"role": "missing"}
    assert wire(terms.user_role(known=False, agent_of=BOB)) == {
        "role": "agent",
        "data": {"user": BOB},
    }
    assert wire(terms.user_role(known=True, master=BOB)) == {
        "role": "subAccount",
        "data": {"master": BOB},
    }


def test_extra_agents_are_the_named_ones() -> None:
    """The unnamed agent is not listed."""
    agents = [AgentState(BOB, "", 5), AgentState(ALICE, "bot", 6)]

    assert wire(terms.extra_agents(agents)) == [{"address": ALICE, "name": "bot", "validUntil": 6}]


def test_portfolio_has_eight_periods_in_order() -> None:
    """The four periods come twice: for everything, and for perpetuals alone."""
    empty = ledger.portfolio_period()
    day = ledger.portfolio_period(values=[(1, 5 * USD)], profits=[(1, -USD)], volume=2 * USD)

    shape = wire(ledger.portfolio([day, empty, empty, empty] * 2))

    assert [name for name, _ in shape] == list(ledger.PORTFOLIO_PERIODS)
    assert shape[0][1] == {
        "accountValueHistory": [[1, "5.0"]],
        "pnlHistory": [[1, "-1.0"]],
        "vlm": "2.0",
    }
    assert shape[4][1] == shape[0][1]
    assert shape[1][1] == {"accountValueHistory": [], "pnlHistory": [], "vlm": "0.0"}


def test_overview_has_every_key_and_the_unnamed_agent() -> None:
    """Front ends read all of it from one frame."""
    view = AccountView(AccountState(ALICE, True, 0, 0, (), (), ()), UNIVERSE)
    summary = summarize(view, UNIVERSE, [650_000, 200_000])

    shape = wire(
        overview.web_data(
            overview.Owner(ALICE, [AgentState(BOB, "", 5)], 3 * USD),
            overview.Markets(metadata.meta(UNIVERSE.perps), (), ()),
            state=account.clearinghouse_state(summary, UNIVERSE, time_ms=NOW_MS),
            open_orders=[],
            twaps=[],
            spot=account.spot_state([], UNIVERSE),
        )
    )

    assert list(shape) == [
        "clearinghouseState",
        "leadingVaults",
        "totalVaultEquity",
        "openOrders",
        "agentAddress",
        "agentValidUntil",
        "cumLedger",
        "meta",
        "assetCtxs",
        "serverTime",
        "isVault",
        "user",
        "twapStates",
        "spotState",
        "spotAssetCtxs",
    ]
    assert (shape["agentAddress"], shape["agentValidUntil"]) == (BOB, 5)
    assert (shape["cumLedger"], shape["serverTime"]) == ("3.0", NOW_MS)
