"""Each reason to say no, in the situation that calls for it; and that saying no changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import pytest

from model.agents import NAMED_AGENTS_MAX, VALIDITY_MAX_MS
from model.commands import (
    ApproveAgent,
    CancelOrders,
    CancelSpec,
    CancelTwap,
    ClassTransfer,
    Command,
    CreateSubAccount,
    Credit,
    CreditSource,
    Grouping,
    ListMarket,
    ListToken,
    ModifyOrders,
    ModifySpec,
    Noop,
    OpenExchange,
    OrderSpec,
    PlaceOrders,
    PlaceTwap,
    ReserveRequests,
    ScheduleCancel,
    SendAsset,
    SpotSend,
    SubAccountTransfer,
    Tick,
    Tif,
    TriggerSpec,
    UpdateIsolatedMargin,
    UpdateLeverage,
    UsdSend,
    Withdraw,
)
from model.events import CommandRefused, Event
from model.exchange import Exchange
from model.ids import USDC, Address, AssetId, OrderId, TokenId
from model.instruments import Instrument, MarginMode, MarginTier, Token
from model.nonces import NONCES_KEPT, WINDOW_FUTURE_MS
from model.refusals import WIRE, Refusal
from model.subaccounts import SUB_ACCOUNTS_MAX
from model.transfers import CASH_MAX
from model.units import E8, USD, parse_decimal
from tests.model.desk import (
    ALICE,
    BOB,
    BTC,
    ETH,
    KEY,
    START_MS,
    STRANGER,
    Desk,
    cloid,
    order,
)
from tests.model.spot_desk import PAIR, PURR, list_pair

Scenario = Callable[[Desk], Command]
"""Prepares a desk and returns the command that must then be refused."""

SCENARIOS: Final[dict[Refusal, Scenario]] = {}


def refused_for(reason: Refusal) -> Callable[[Scenario], Scenario]:
    """Enter a scenario under the refusal that it must meet."""

    def enter(scenario: Scenario) -> Scenario:
        assert reason not in SCENARIOS
        SCENARIOS[reason] = scenario
        return scenario

    return enter


def placing(desk: Desk, *args: str, asset: AssetId = BTC, **options: object) -> Command:
    """Make Alice's command that places one order."""
    side, price, size = args
    spec = order(side, price, size, asset=asset, **options)  # type: ignore[arg-type]
    return PlaceOrders(*desk.head(ALICE), (spec,))


# ---- the form of an order ----------------------------------------------------------------------


@refused_for(Refusal.PRICE_OFF_GRID)
def _(desk: Desk) -> Command:
    return placing(desk, "buy", "99.9991", "1")


@refused_for(Refusal.PRICE_INVALID)
def _(desk: Desk) -> Command:
    return placing(desk, "buy", "0", "1")


@refused_for(Refusal.SIZE_OFF_GRID)
def _(desk: Desk) -> Command:
    return placing(desk, "buy", "99", "1.001")


@refused_for(Refusal.SIZE_ZERO)
def _(desk: Desk) -> Command:
    return placing(desk, "buy", "99", "0")


@refused_for(Refusal.NOTIONAL_TOO_SMALL)
def _(desk: Desk) -> Command:
    return placing(desk, "buy", "99.9", "0.1")


@refused_for(Refusal.ASSET_UNKNOWN)
def _(desk: Desk) -> Command:
    return placing(desk, "buy", "99", "1", asset=AssetId(2))


@refused_for(Refusal.PRICE_TOO_FAR)
def _(desk: Desk) -> Command:
    return placing(desk, "buy", "19.9", "1")


@refused_for(Refusal.CLOID_IN_USE)
def _(desk: Desk) -> Command:
    desk.rest(ALICE, order("buy", "99", "1", cloid=cloid(7)))
    return placing(desk, "buy", "98", "1", cloid=cloid(7))


@refused_for(Refusal.BATCH_EMPTY)
def _(desk: Desk) -> Command:
    return CancelOrders(*desk.head(ALICE), ())


@refused_for(Refusal.NOTIONAL_TOO_LARGE)
def _(desk: Desk) -> Command:
    return placing(desk, "buy", "100", "1500000.01")


def stop(side: str, at: str, size: str = "1", *, reduce_only: bool = True) -> OrderSpec:
    """Make a stop order at its trigger price."""
    trigger = TriggerSpec(parse_decimal(at), True, True)
    return order(side, at, size, reduce_only=reduce_only, trigger=trigger)


@refused_for(Refusal.TRIGGER_PRICE_BAD)
def _(desk: Desk) -> Command:
    return PlaceOrders(*desk.head(ALICE), (stop("sell", "100"),))


@refused_for(Refusal.TRIGGER_NOT_REDUCING)
def _(desk: Desk) -> Command:
    return PlaceOrders(*desk.head(ALICE), (stop("sell", "95", reduce_only=False),))


@refused_for(Refusal.GROUP_MAIN_IS_TRIGGER)
def _(desk: Desk) -> Command:
    return PlaceOrders(*desk.head(ALICE), (stop("sell", "95"),), Grouping.NORMAL_TPSL)


@refused_for(Refusal.GROUP_COUNT_WRONG)
def _(desk: Desk) -> Command:
    return PlaceOrders(*desk.head(ALICE), (order("buy", "99", "1"),), Grouping.NORMAL_TPSL)


@refused_for(Refusal.TWAP_DURATION_BAD)
def _(desk: Desk) -> Command:
    return PlaceTwap(*desk.head(ALICE), BTC, True, 10 * E8, False, 4, False)


@refused_for(Refusal.TWAP_TOO_SMALL)
def _(desk: Desk) -> Command:
    return PlaceTwap(*desk.head(ALICE), BTC, True, E8 // 10, False, 5, False)


@refused_for(Refusal.TWAP_INCREASES)
def _(desk: Desk) -> Command:
    return PlaceTwap(*desk.head(ALICE), BTC, True, 10 * E8, True, 5, False)


@refused_for(Refusal.TWAPS_AT_MAX)
def _(desk: Desk) -> Command:
    for _ in range(20):
        desk.apply(PlaceTwap(*desk.head(ALICE), BTC, True, 10 * E8, False, 5, False))
    return PlaceTwap(*desk.head(ALICE), BTC, True, 10 * E8, False, 5, False)


@refused_for(Refusal.TWAP_NOTHING_THERE)
def _(desk: Desk) -> Command:
    return CancelTwap(*desk.head(ALICE), BTC, 1)


# ---- the state of the account ------------------------------------------------------------------


@refused_for(Refusal.MARGIN_TOO_LOW)
def _(desk: Desk) -> Command:
    return placing(desk, "buy", "99", "2000.01")


@refused_for(Refusal.REDUCE_ONLY_INCREASES)
def _(desk: Desk) -> Command:
    desk.trade(ALICE, BOB, "100", "1")
    return placing(desk, "buy", "99", "1", reduce_only=True)


@refused_for(Refusal.OPEN_ORDERS_AT_MAX)
def _(desk: Desk) -> Command:
    specs = tuple(order("buy", "50", "0.2") for _ in range(1000))
    desk.place(ALICE, *specs)
    return placing(desk, "buy", "50", "0.2")


# ---- the state of the book ---------------------------------------------------------------------


@refused_for(Refusal.POST_ONLY_WOULD_MATCH)
def _(desk: Desk) -> Command:
    desk.rest(BOB, order("sell", "101", "1"))
    return placing(desk, "buy", "101", "1", tif=Tif.ALO)


@refused_for(Refusal.IOC_FOUND_NOTHING)
def _(desk: Desk) -> Command:
    desk.rest(BOB, order("sell", "101", "1"))
    return placing(desk, "buy", "100", "1", tif=Tif.IOC)


@refused_for(Refusal.MARKET_FOUND_NOTHING)
def _(desk: Desk) -> Command:
    return placing(desk, "buy", "100", "1", tif=Tif.FRONTEND_MARKET)


def full_market(desk: Desk) -> AssetId:
    """List a market, let Alice buy from Bob as much as it takes, and return its id."""
    asset = AssetId(2)
    instrument = Instrument(asset, "SOL", 2, 20, 100 * E8, open_interest_max=1_000 * USD)
    desk.apply(ListMarket(instrument))
    desk.rest(BOB, order("sell", "100", "10", asset=asset))
    desk.place(ALICE, order("buy", "100", "10", asset=asset))
    return asset


@refused_for(Refusal.OPEN_INTEREST_AT_CAP)
def _(desk: Desk) -> Command:
    return placing(desk, "buy", "99", "1", asset=full_market(desk))


@refused_for(Refusal.OPEN_INTEREST_FLIP_AT_CAP)
def _(desk: Desk) -> Command:
    return placing(desk, "sell", "101", "11", asset=full_market(desk))


# ---- orders that are not there -----------------------------------------------------------------


@refused_for(Refusal.CANCEL_NOTHING_THERE)
def _(desk: Desk) -> Command:
    oid = desk.rest(BOB, order("sell", "101", "1"))
    return CancelOrders(*desk.head(ALICE), (CancelSpec(BTC, oid),))


@refused_for(Refusal.MODIFY_NOTHING_THERE)
def _(desk: Desk) -> Command:
    spec = ModifySpec(OrderId(77), order("buy", "99", "1"))
    return ModifyOrders(*desk.head(ALICE), (spec,))


# ---- who signed and when -----------------------------------------------------------------------


@refused_for(Refusal.SIGNER_UNKNOWN)
def _(desk: Desk) -> Command:
    return PlaceOrders(*desk.head(STRANGER), (order("buy", "99", "1"),))


@refused_for(Refusal.DEPOSIT_MISSING)
def _(desk: Desk) -> Command:
    desk.approve(ALICE, KEY)
    return UsdSend(*desk.head(KEY), BOB, 1 * USD)


@refused_for(Refusal.NONCE_DUPLICATE)
def _(desk: Desk) -> Command:
    command = Noop(*desk.head(ALICE))
    desk.apply(command)
    return command


@refused_for(Refusal.NONCE_TOO_LOW)
def _(desk: Desk) -> Command:
    for _ in range(NONCES_KEPT):
        desk.apply(Noop(*desk.head(ALICE)))
    return Noop(ALICE, desk.nonce - NONCES_KEPT, None, None)


@refused_for(Refusal.NONCE_TOO_HIGH)
def _(desk: Desk) -> Command:
    return Noop(ALICE, START_MS + WINDOW_FUTURE_MS, None, None)


@refused_for(Refusal.EXPIRED)
def _(desk: Desk) -> Command:
    return PlaceOrders(ALICE, START_MS, START_MS - 1, None, (order("buy", "99", "1"),))


@refused_for(Refusal.VAULT_UNKNOWN)
def _(desk: Desk) -> Command:
    return Noop(ALICE, START_MS, None, BOB)


@refused_for(Refusal.AGENT_ADDRESS_TAKEN)
def _(desk: Desk) -> Command:
    return ApproveAgent(*desk.head(ALICE), BOB)


@refused_for(Refusal.AGENT_NAME_LENGTH)
def _(desk: Desk) -> Command:
    return ApproveAgent(*desk.head(ALICE), KEY, "seventeen letters")


@refused_for(Refusal.AGENTS_AT_MAX)
def _(desk: Desk) -> Command:
    for number in range(NAMED_AGENTS_MAX):
        desk.approve(ALICE, Address(f"0x{number + 1:040x}"), f"bot {number}")
    return ApproveAgent(*desk.head(ALICE), KEY, "one more")


@refused_for(Refusal.AGENT_VALIDITY_PAST)
def _(desk: Desk) -> Command:
    return ApproveAgent(*desk.head(ALICE), KEY, "bot", START_MS)


@refused_for(Refusal.AGENT_VALIDITY_TOO_LONG)
def _(desk: Desk) -> Command:
    return ApproveAgent(*desk.head(ALICE), KEY, "bot", START_MS + VALIDITY_MAX_MS + 1)


# ---- accounts, money, leverage -----------------------------------------------------------------


@refused_for(Refusal.TRANSFER_TOO_LARGE)
def _(desk: Desk) -> Command:
    return UsdSend(*desk.head(ALICE), BOB, 10_000 * USD + 1)


@refused_for(Refusal.TRANSFER_ZERO)
def _(desk: Desk) -> Command:
    return UsdSend(*desk.head(ALICE), BOB, 0)


@refused_for(Refusal.TRANSFER_TO_SELF)
def _(desk: Desk) -> Command:
    return UsdSend(*desk.head(ALICE), ALICE, 1 * USD)


@refused_for(Refusal.BALANCE_AT_MAX)
def _(desk: Desk) -> Command:
    return Credit(ALICE, CASH_MAX, CreditSource.FAUCET)


@refused_for(Refusal.LEVERAGE_INVALID)
def _(desk: Desk) -> Command:
    return UpdateLeverage(*desk.head(ALICE), ETH, True, 6)


@refused_for(Refusal.LEVERAGE_NEEDS_MARGIN)
def _(desk: Desk) -> Command:
    desk.trade(ALICE, BOB, "100", "200")
    return UpdateLeverage(*desk.head(ALICE), BTC, True, 1)


TIERED: Final = AssetId(2)
"""Up to 10,000 USD with leverage 20, with 5 beyond."""

STRICT: Final = AssetId(2)


def list_tiered(desk: Desk) -> None:
    """Open a market whose larger positions are allowed less leverage."""
    tiers = (MarginTier(0, 20), MarginTier(10_000 * USD, 5))
    desk.apply(ListMarket(Instrument(TIERED, "SOL", 2, 20, 100 * E8, tiers)))


def list_strict(desk: Desk) -> None:
    """Open a market that is isolated only, and hold 100 USD of it at leverage 20."""
    mode = MarginMode.STRICT_ISOLATED
    desk.apply(ListMarket(Instrument(STRICT, "SOL", 2, 20, 100 * E8, (), mode)))
    desk.rest(BOB, order("sell", "100", "1", asset=STRICT))
    desk.place(ALICE, order("buy", "100", "1", asset=STRICT))


def hold_isolated(desk: Desk) -> None:
    """Let Alice hold 1,000 USD with isolated margin at leverage 10."""
    desk.apply(UpdateLeverage(*desk.head(ALICE), BTC, False, 10))
    desk.trade(ALICE, BOB, "100", "10")


@refused_for(Refusal.MARGIN_TIER_EXCEEDED)
def _(desk: Desk) -> Command:
    list_tiered(desk)
    return placing(desk, "buy", "100", "100", asset=TIERED)


@refused_for(Refusal.LEVERAGE_TYPE_LOCKED)
def _(desk: Desk) -> Command:
    desk.trade(ALICE, BOB, "100", "1")
    return UpdateLeverage(*desk.head(ALICE), BTC, False, 10)


@refused_for(Refusal.CROSS_NOT_ALLOWED)
def _(desk: Desk) -> Command:
    list_strict(desk)
    return UpdateLeverage(*desk.head(BOB), STRICT, True, 10)


@refused_for(Refusal.ISOLATED_NEEDS_MARGIN)
def _(desk: Desk) -> Command:
    hold_isolated(desk)
    return UpdateLeverage(*desk.head(ALICE), BTC, False, 9)


@refused_for(Refusal.MARGIN_NOT_ISOLATED)
def _(desk: Desk) -> Command:
    desk.trade(ALICE, BOB, "100", "1")
    return UpdateIsolatedMargin(*desk.head(ALICE), BTC, 1)


@refused_for(Refusal.MARGIN_MOVE_ZERO)
def _(desk: Desk) -> Command:
    hold_isolated(desk)
    return UpdateIsolatedMargin(*desk.head(ALICE), BTC, 0)


@refused_for(Refusal.MARGIN_NO_POSITION)
def _(desk: Desk) -> Command:
    desk.apply(UpdateLeverage(*desk.head(ALICE), BTC, False, 10))
    return UpdateIsolatedMargin(*desk.head(ALICE), BTC, 1)


@refused_for(Refusal.MARGIN_INCREASE_TOO_LARGE)
def _(desk: Desk) -> Command:
    hold_isolated(desk)
    return UpdateIsolatedMargin(*desk.head(ALICE), BTC, 9_900 * USD + 1)


@refused_for(Refusal.MARGIN_REDUCTION_TOO_LARGE)
def _(desk: Desk) -> Command:
    hold_isolated(desk)
    return UpdateIsolatedMargin(*desk.head(ALICE), BTC, -1)


@refused_for(Refusal.MARGIN_STRICT)
def _(desk: Desk) -> Command:
    list_strict(desk)
    return UpdateIsolatedMargin(*desk.head(ALICE), STRICT, -1)


@refused_for(Refusal.SCHEDULE_TOO_SOON)
def _(desk: Desk) -> Command:
    return ScheduleCancel(*desk.head(ALICE), START_MS + 4_999)


@refused_for(Refusal.SCHEDULES_AT_MAX)
def _(desk: Desk) -> Command:
    for count in range(1, 11):
        desk.apply(ScheduleCancel(*desk.head(ALICE), START_MS + 5_000 * count))
        desk.block(START_MS + 5_000 * count)
        desk.apply(Tick())
    return ScheduleCancel(*desk.head(ALICE), START_MS + 60_000)


# ---- spot, tokens, sub-accounts, requests ------------------------------------------------------


@refused_for(Refusal.SPOT_NOTIONAL_TOO_SMALL)
def _(desk: Desk) -> Command:
    list_pair(desk)
    return placing(desk, "buy", "2", "4.99", asset=PAIR)


@refused_for(Refusal.SPOT_PLAIN_ONLY)
def _(desk: Desk) -> Command:
    list_pair(desk)
    return placing(desk, "buy", "2", "10", asset=PAIR, reduce_only=True)


@refused_for(Refusal.SPOT_BALANCE_TOO_LOW)
def _(desk: Desk) -> Command:
    list_pair(desk)
    desk.apply(ClassTransfer(*desk.head(ALICE), 20 * USD - 1, False))
    return placing(desk, "buy", "2", "10", asset=PAIR)


@refused_for(Refusal.REQUESTS_USED_UP)
def _(desk: Desk) -> Command:
    limited = Desk(terms=OpenExchange(0, 0, requests_free=1))
    desk.exchange, desk.nonce = limited.exchange, limited.nonce
    for _ in range(2):
        desk.apply(Noop(*desk.head(ALICE)))
    return Noop(*desk.head(ALICE))


@refused_for(Refusal.WITHDRAWAL_TOO_LARGE)
def _(desk: Desk) -> Command:
    return Withdraw(*desk.head(ALICE), KEY, 10_000 * USD + 1)


@refused_for(Refusal.WITHDRAWAL_TOO_SMALL)
def _(desk: Desk) -> Command:
    return Withdraw(*desk.head(ALICE), KEY, 1 * USD)


@refused_for(Refusal.TOKEN_UNKNOWN)
def _(desk: Desk) -> Command:
    return SpotSend(*desk.head(ALICE), BOB, TokenId(9), 1)


@refused_for(Refusal.SUB_ACCOUNT_NAME_LENGTH)
def _(desk: Desk) -> Command:
    return CreateSubAccount(*desk.head(ALICE), "seventeen letters")


@refused_for(Refusal.SUB_ACCOUNTS_AT_MAX)
def _(desk: Desk) -> Command:
    for number in range(SUB_ACCOUNTS_MAX):
        desk.apply(CreateSubAccount(*desk.head(ALICE), str(number)))
    return CreateSubAccount(*desk.head(ALICE), "more")


@refused_for(Refusal.SUB_ACCOUNT_TRANSFER_INVALID)
def _(desk: Desk) -> Command:
    return SubAccountTransfer(*desk.head(ALICE), BOB, True, 1 * USD)


@refused_for(Refusal.TOKEN_NOT_IN_PERP)
def _(desk: Desk) -> Command:
    list_pair(desk)
    return SendAsset(*desk.head(ALICE), BOB, False, True, PURR, 1 * E8)


@refused_for(Refusal.AMOUNT_TOO_FINE)
def _(desk: Desk) -> Command:
    return SendAsset(*desk.head(ALICE), BOB, True, True, USDC, 101)


@refused_for(Refusal.RESERVATION_INVALID)
def _(desk: Desk) -> Command:
    return ReserveRequests(*desk.head(ALICE), 0)


@refused_for(Refusal.TOKEN_INVALID)
def _(desk: Desk) -> Command:
    return ListToken(Token(TokenId(1), "a:b", 2))


# ---- what operators ask for --------------------------------------------------------------------


@refused_for(Refusal.EXCHANGE_NOT_OPEN)
def _(desk: Desk) -> Command:
    desk.exchange = Exchange()
    return Credit(ALICE, 1 * USD, CreditSource.FAUCET)


@refused_for(Refusal.EXCHANGE_ALREADY_OPEN)
def _(desk: Desk) -> Command:
    return OpenExchange(0, 0)


@refused_for(Refusal.FEES_INVALID)
def _(desk: Desk) -> Command:
    desk.exchange = Exchange()
    return OpenExchange(100, -101)


@refused_for(Refusal.MARKET_INVALID)
def _(desk: Desk) -> Command:
    return ListMarket(Instrument(AssetId(2), "SOL", 7, 20, 100 * E8))


@refused_for(Refusal.CREDIT_INVALID)
def _(desk: Desk) -> Command:
    return Credit(ALICE, 0, CreditSource.FAUCET)


# ---- what is asked of them all -----------------------------------------------------------------


def reason_of(event: Event) -> Refusal | None:
    """Return the refusal that an event tells of."""
    reason = getattr(event, "reason", None)
    return reason if isinstance(reason, Refusal) else None


def without_nonces(exchange: Exchange) -> bytes:
    """Return the state's digest with all nonces forgotten."""
    copy = Exchange.load(exchange.dump())
    copy.nonces.clear()
    return copy.digest()


def test_every_refusal_has_a_scenario_and_a_text() -> None:
    """No reason to say no goes without its situation here and its text on the wire."""
    assert set(SCENARIOS) == set(Refusal) == set(WIRE)


@pytest.mark.parametrize("reason", list(SCENARIOS), ids=lambda reason: reason.name)
def test_refusal_is_met_and_leaves_no_trace(reason: Refusal) -> None:
    """The situation meets its refusal, alone, and at most the nonce is used up."""
    desk = Desk()
    command = SCENARIOS[reason](desk)
    before, before_all = without_nonces(desk.exchange), desk.exchange.digest()

    events = desk.apply(command)

    assert [reason_of(event) for event in events] == [reason]
    assert without_nonces(desk.exchange) == before
    refused = events[0]
    if isinstance(refused, CommandRefused) and not refused.nonce_used:
        assert desk.exchange.digest() == before_all


def test_number_of_a_refusal_tells_its_category() -> None:
    """Reasons that clients may meet in one answer share their hundred."""
    assert {reason // 100 for reason in Refusal} == {1, 2, 3, 4, 5, 6, 7, 8}


def test_nonce_is_used_up_by_what_is_refused_after_admission() -> None:
    """A command that was admitted and then refused cannot be sent again."""
    desk = Desk()
    command = UpdateLeverage(*desk.head(ALICE), BTC, True, 41)
    first = desk.apply(command)

    assert first == [CommandRefused(ALICE, Refusal.LEVERAGE_INVALID, (), True)]
    assert desk.apply(command) == [
        CommandRefused(ALICE, Refusal.NONCE_DUPLICATE, (command.nonce,), False)
    ]


def test_details_hold_what_the_texts_name() -> None:
    """Every text can be filled with the detail that comes with its refusal."""
    for reason, scenario in SCENARIOS.items():
        desk = Desk()
        event = desk.apply(scenario(desk))[0]
        detail = getattr(event, "detail", ())
        assert WIRE[reason].text.count("{") == len(detail), reason.name
        assert "{" not in WIRE[reason].text.format(*detail)
