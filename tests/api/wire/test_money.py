"""Ledger entries, funding and liquidated fills as clients read them."""

from typing import Any

import msgspec
import pytest

from api.wire import fills, frames, funding, ledger, metadata, terms, twaps
from model.commands import FeeTier, MakerTier, OpenExchange
from model.events import TradeKind
from model.ids import SPOT_ASSETS_FROM, USDC, Address, AssetId, OrderId, TokenId, TradeId
from model.instruments import Instrument, MarginMode, MarginTier, Token
from model.state import FeeState, RequestState, TwapState
from model.units import E8, USD
from model.universe import Universe
from model.views.money import (
    CLASS_TRANSFER,
    LIQUIDATION,
    SEND,
    SPOT_TRANSFER,
    SUB_ACCOUNT_TRANSFER,
    TOKENS_CREDITED,
    WITHDRAW,
)
from model.views.records import Fill, FundingRecord, LedgerRecord, RateRecord

ALICE, BOB = Address("0x" + "a" * 40), Address("0x" + "b" * 40)
BTC, PURR = AssetId(0), TokenId(1)
UNIVERSE = Universe(
    [
        Instrument(BTC, "BTC", 5, 40, 65_000 * E8),
        Instrument(SPOT_ASSETS_FROM, "PURR/USDC", 2, 1, E8, base=PURR),
    ],
    [Token(USDC, "USDC", 8), Token(PURR, "PURR", 2)],
)


def wire(shape: Any) -> Any:
    """Return what a client reads of a shape."""
    return msgspec.json.decode(frames.encode(shape))


def entry(kind: str, **more: Any) -> LedgerRecord:
    told: dict[str, Any] = {"usd": 2 * USD, "sender": ALICE, "destination": BOB, "fee": 0} | more
    return LedgerRecord(
        ALICE,
        kind,
        told.pop("usd"),
        told.pop("sender"),
        told.pop("destination"),
        told.pop("fee"),
        5,
        7,
        2,
        **told,
    )


TOKENS = {"token": PURR, "amount_e8": 3 * E8, "from_perp": False, "to_perp": False}


@pytest.mark.parametrize(
    ("record", "delta"),
    [
        (entry(WITHDRAW, fee=USD, nonce=9), {"usdc": "2.0", "nonce": 9, "fee": "1.0"}),
        (entry(CLASS_TRANSFER, to_perp=False), {"usdc": "2.0", "toPerp": False}),
        (
            entry(SUB_ACCOUNT_TRANSFER),
            {"usdc": "2.0", "user": ALICE, "destination": BOB},
        ),
        (
            entry(SPOT_TRANSFER, **TOKENS),
            {
                "token": "PURR",
                "amount": "3.0",
                "usdcValue": "2.0",
                "user": ALICE,
                "destination": BOB,
                "fee": "0.0",
                "nativeTokenFee": "0.0",
                "nonce": None,
                "feeToken": "",
            },
        ),
        (
            entry(SEND, amount_e8=2 * E8, to_perp=False, nonce=9),
            {
                "user": ALICE,
                "destination": BOB,
                "sourceDex": "",
                "destinationDex": "spot",
                "token": "USDC",
                "amount": "2.0",
                "usdcValue": "2.0",
                "fee": "0.0",
                "nonce": 9,
                "nativeTokenFee": "0.0",
                "feeToken": "",
            },
        ),
        (entry(TOKENS_CREDITED, **TOKENS), {"token": "PURR", "amount": "3.0"}),
        (
            entry(LIQUIDATION, account_value=-USD, is_cross=False, positions=((BTC, -50_000),)),
            {
                "liquidatedNtlPos": "2.0",
                "accountValue": "-1.0",
                "leverageType": "Isolated",
                "liquidatedPositions": [{"coin": "BTC", "szi": "-0.5"}],
            },
        ),
    ],
)
def test_every_kind_of_entry_has_its_own_words(record: LedgerRecord, delta: dict[str, Any]) -> None:
    """The type stands first, inside the delta."""
    shape = wire(ledger.ledger_update(record, UNIVERSE))

    assert shape["delta"] == {"type": record.kind, **delta}
    assert shape["time"] == 5


def test_a_liquidation_event_has_the_keys_of_the_wire() -> None:
    """They are in snake case, alone among all."""
    event = wire(ledger.liquidation_event(entry(LIQUIDATION, account_value=USD), BOB))

    assert list(event["liquidation"]) == [
        "lid",
        "liquidator",
        "liquidated_user",
        "liquidated_ntl_pos",
        "liquidated_account_value",
    ]
    assert event["liquidation"]["liquidated_user"] == ALICE


def a_fill(kind: TradeKind, *, crossed: bool = True, start: int = 50_000, **more: Any) -> Fill:
    return Fill(
        ALICE,
        BTC,
        OrderId(5),
        TradeId(9),
        None,
        False,
        crossed,
        650_000,
        50_000,
        start,
        0,
        0,
        1,
        7,
        2,
        kind=kind,
        liquidated=BOB,
        mark=650_100,
        **more,
    )


@pytest.mark.parametrize(
    ("record", "direction", "method"),
    [
        (a_fill(TradeKind.LIQUIDATION), "Close Long", "market"),
        (a_fill(TradeKind.BACKSTOP), "Liquidated Cross Long", "backstop"),
        (a_fill(TradeKind.BACKSTOP, start=-1), "Liquidated Cross Short", "backstop"),
        (a_fill(TradeKind.BACKSTOP, is_isolated=True), "Liquidated Isolated Long", "backstop"),
        (a_fill(TradeKind.BACKSTOP, crossed=False, start=0), "Open Short", "backstop"),
        (a_fill(TradeKind.DELEVERAGING, crossed=False), "Auto-Deleveraging", None),
    ],
)
def test_fills_of_liquidations_tell_how(record: Fill, direction: str, method: str | None) -> None:
    """In the book they look like any other, but for the method; nobody is liquidated twice."""
    shape = wire(fills.fill(record, UNIVERSE))

    assert shape["dir"] == direction
    if method is None:
        assert "liquidation" not in shape
    else:
        assert shape["liquidation"] == {
            "liquidatedUser": BOB,
            "markPx": "65010.0",
            "method": method,
        }


def test_funding_is_shown_in_two_forms() -> None:
    """Nested in answers, flat in streams; rates and premiums have ten decimals."""
    paid = FundingRecord(ALICE, BTC, -3_625_312, 4_914_770, 417_000, 5, 7)
    nested = wire(funding.user_funding([paid], UNIVERSE))[0]
    flat = wire(funding.fundings_frame(ALICE, [paid], UNIVERSE, is_snapshot=True))
    (rate,) = wire(funding.funding_rates([RateRecord(BTC, 125_000, -3_100_000, 5, 7)], UNIVERSE))

    fields = {"coin": "BTC", "usdc": "-3.625312", "szi": "49.1477", "fundingRate": "0.0000417"}
    assert nested["delta"] == {"type": "funding", **fields, "nSamples": None}
    assert flat["fundings"] == [{"time": 5, **fields, "nSamples": None}]
    assert rate == {"coin": "BTC", "fundingRate": "0.0000125", "premium": "-0.00031", "time": 5}


def test_next_funding_is_at_the_next_full_hour() -> None:
    """Also where the hour has just begun."""
    for time_ms in (3_600_000, 7_199_999):
        ((coin, ((venue, predicted),)),) = wire(
            funding.predicted_fundings([("BTC", 125_000)], time_ms=time_ms)
        )
        assert (coin, venue) == ("BTC", "HlPerp")
        assert predicted["nextFundingTime"] == 7_200_000


def test_tiered_markets_have_tables_of_their_own() -> None:
    """Equal tiers share one; markets without cross margin say so."""
    tiers = (MarginTier(0, 40), MarginTier(150_000_000 * USD, 20))
    listed = [
        Instrument(BTC, "A", 5, 40, E8, tiers),
        Instrument(AssetId(1), "B", 5, 40, E8, tiers),
        Instrument(AssetId(2), "C", 5, 60, E8),
        Instrument(AssetId(3), "D", 5, 3, E8, margin_mode=MarginMode.STRICT_ISOLATED),
    ]
    shape = wire(metadata.meta(listed))

    assert [one["marginTableId"] for one in shape["universe"]] == [50, 50, 51, 3]
    assert [number for number, _ in shape["marginTables"]] == [3, 50, 51]
    assert dict(map(tuple, shape["marginTables"]))[50] == {
        "description": "tiered 40x",
        "marginTiers": [
            {"lowerBound": "0.0", "maxLeverage": 40},
            {"lowerBound": "150000000.0", "maxLeverage": 20},
        ],
    }
    assert shape["universe"][3]["onlyIsolated"] is True
    assert shape["universe"][3]["marginMode"] == "strictIsolated"
    assert "onlyIsolated" not in shape["universe"][0]


def test_spot_meta_without_pairs_is_what_clients_boot_from() -> None:
    """USDC alone, as the published exchange describes it."""
    assert wire(metadata.spot_meta(Universe())) == {
        "universe": [],
        "tokens": [
            {
                "name": "USDC",
                "szDecimals": 8,
                "weiDecimals": 8,
                "index": 0,
                "tokenId": "0x6d1e7cde53ba9467b783cb7c530ce054",
                "isCanonical": True,
                "evmContract": None,
                "fullName": None,
                "deployerTradingFeeShare": "0.0",
            }
        ],
    }


def test_fees_are_those_of_the_tier() -> None:
    """The schedule shows all tiers, the user's rates the one in force."""
    opened = OpenExchange(
        450, 150, 700, 400, (FeeTier(5 * USD, 400, 120, 600, 300),), (MakerTier(5_000, -10),)
    )
    shape = wire(terms.user_fees([], opened, FeeState(400, -10, 600, 300, 6 * USD, 5_000)))

    assert (shape["userCrossRate"], shape["userAddRate"]) == ("0.0004", "-0.00001")
    assert (shape["userSpotCrossRate"], shape["userSpotAddRate"]) == ("0.0006", "0.0003")
    assert shape["feeSchedule"]["tiers"] == {
        "vip": [
            {
                "ntlCutoff": "5.0",
                "cross": "0.0004",
                "add": "0.00012",
                "spotCross": "0.0006",
                "spotAdd": "0.0003",
            }
        ],
        "mm": [{"makerFractionCutoff": "0.005", "add": "-0.00001"}],
    }


def test_requests_that_are_limited_show_the_limit() -> None:
    """Bought requests are the surplus."""
    shape = wire(terms.user_rate_limit(volume=USD, requests=RequestState(7, 41, 3)))

    assert (shape["nRequestsUsed"], shape["nRequestsCap"], shape["nRequestsSurplus"]) == (7, 41, 3)


def test_a_twap_is_shown_with_what_it_has_done() -> None:
    """Its notional is in USD, whatever the market."""
    state = TwapState(3, BTC, ALICE, True, 100_000, False, 30, True, 5, 50_000, 32_500 * USD)
    shape = wire(twaps.twap_states([state], UNIVERSE))

    assert shape == [
        [
            3,
            {
                "coin": "BTC",
                "user": ALICE,
                "side": "B",
                "sz": "1.0",
                "executedSz": "0.5",
                "executedNtl": "32500.0",
                "minutes": 30,
                "reduceOnly": False,
                "randomize": True,
                "timestamp": 5,
                "stopPx": None,
                "trigger": None,
            },
        ]
    ]
