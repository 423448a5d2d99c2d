"""Commands other than orders: opening, listing, money, signers, oracle, blocks."""

from __future__ import annotations

import pytest

from model.commands import (
    Credit,
    CreditSource,
    ListMarket,
    MoveOracle,
    Noop,
    OpenExchange,
    OraclePrice,
    PlaceOrders,
)
from model.errors import BrokenInvariantError
from model.events import (
    CommandRefused,
    Credited,
    ExchangeOpened,
    MarketListed,
    NonceUsed,
    OracleMoved,
    OrderPlaced,
    UsdSent,
)
from model.exchange import Exchange
from model.ids import Address, AssetId
from model.instruments import Instrument
from model.refusals import Refusal
from model.transfers import CASH_MAX, CREDITED_MAX
from model.units import E8, USD
from tests.model.desk import ALICE, BOB, BTC, ETH, START_MS, STRANGER, Desk, only, order


def test_log_opens_the_exchange_and_lists_its_markets() -> None:
    """An empty exchange comes to life by commands alone."""
    exchange = Exchange()
    exchange.begin_block(1, START_MS)
    instrument = Instrument(AssetId(0), "BTC", 5, 40, 65_000 * E8)

    opened = exchange.apply(OpenExchange(450, 150))
    listed = exchange.apply(ListMarket(instrument))

    assert opened == [ExchangeOpened(OpenExchange(450, 150))]
    assert listed == [MarketListed(instrument)]
    assert exchange.instruments == [instrument]
    state = exchange.market_state(AssetId(0))
    assert (state.oracle, state.mark, state.last) == (650_000, 650_000, 0)


@pytest.mark.parametrize(
    "instrument",
    [
        Instrument(AssetId(0), "", 2, 20, E8),
        Instrument(AssetId(0), "X", -1, 20, E8),
        Instrument(AssetId(0), "X", 7, 20, E8),
        Instrument(AssetId(0), "X", 2, 0, E8),
        Instrument(AssetId(0), "X", 2, 101, E8),
        Instrument(AssetId(0), "X", 2, 20, 0),
        Instrument(AssetId(0), "X", 2, 20, 2**64 - 1),
    ],
)
def test_market_that_makes_no_sense_is_refused(instrument: Instrument) -> None:
    """Every field has its range."""
    exchange = Exchange()
    exchange.apply(OpenExchange(0, 0))

    assert exchange.apply(ListMarket(instrument)) == [CommandRefused(None, Refusal.MARKET_INVALID)]


def test_market_must_take_the_next_free_id_and_a_new_name() -> None:
    """Ids have no gaps, names no doubles."""
    desk = Desk()
    gap = Instrument(AssetId(3), "SOL", 2, 20, E8)
    double = Instrument(AssetId(2), "BTC", 2, 20, E8)

    assert only(desk.apply(ListMarket(gap)), CommandRefused).reason is Refusal.ASSET_UNKNOWN
    assert only(desk.apply(ListMarket(double)), CommandRefused).reason is Refusal.MARKET_INVALID


# ---- blocks ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("height", "time_ms"), [(1, START_MS), (3, START_MS), (2, START_MS - 1)])
def test_block_must_follow_the_last_one(height: int, time_ms: int) -> None:
    """Heights count up by one and time does not go back: anything else is our bug."""
    desk = Desk()

    with pytest.raises(BrokenInvariantError):
        desk.exchange.begin_block(height, time_ms)


def test_two_blocks_may_have_the_same_time() -> None:
    """Many blocks fit in a millisecond."""
    desk = Desk()
    desk.block(START_MS)

    assert (desk.exchange.height, desk.exchange.time_ms) == (2, START_MS)


# ---- money -------------------------------------------------------------------------------------


def test_first_credit_makes_an_account() -> None:
    """Before it the address is unknown, afterwards it may act."""
    desk = Desk()
    before = desk.place(STRANGER, order("buy", "99", "1"))

    credited = desk.apply(Credit(STRANGER, 100 * USD, CreditSource.FAUCET))

    assert only(before, CommandRefused).detail == (STRANGER,)
    assert credited == [Credited(STRANGER, 100 * USD, CreditSource.FAUCET)]
    assert desk.exchange.knows(STRANGER)
    assert only(desk.place(STRANGER, order("buy", "99", "1")), OrderPlaced).account == STRANGER


def test_only_credits_of_the_faucet_are_counted() -> None:
    """Refused ones are not."""
    desk = Desk()
    for usd, source in ((1, CreditSource.FAUCET), (1, CreditSource.FUND), (0, CreditSource.FAUCET)):
        desk.apply(Credit(ALICE, usd, source))

    assert desk.exchange.faucet_credits == 1


def test_transfer_to_a_new_address_makes_an_account() -> None:
    """It may act at once."""
    desk = Desk()

    sent = desk.send(ALICE, STRANGER, 100 * USD)

    assert sent == [UsdSent(ALICE, STRANGER, 100 * USD)]
    assert desk.state(ALICE).cash == 9_900 * USD
    assert desk.state(STRANGER).cash == 100 * USD
    assert desk.exchange.resolve(STRANGER) == STRANGER


def test_transfer_beyond_the_receivers_maximum_is_refused() -> None:
    """Balances stay within what the journal can hold."""
    desk = Desk()
    desk.apply(Credit(BOB, CASH_MAX - 10_000 * USD, CreditSource.FUND))

    assert only(desk.send(ALICE, BOB, 1), CommandRefused).reason is Refusal.BALANCE_AT_MAX


def test_credits_have_a_maximum_altogether() -> None:
    """However many accounts share them, sums stay within what the journal can hold."""
    desk = Desk()
    refused = []
    for number in range(CREDITED_MAX // CASH_MAX + 1):
        account = Address(f"0x{number:040x}")
        refused += desk.exchange.apply(Credit(account, CASH_MAX, CreditSource.FUND))

    assert only(refused, CommandRefused).reason is Refusal.BALANCE_AT_MAX
    assert desk.exchange.engine.credited_usd <= CREDITED_MAX
    assert Exchange.load(desk.exchange.dump()).digest() == desk.exchange.digest()


def test_negative_transfer_is_refused() -> None:
    """Nobody takes by giving less than nothing."""
    desk = Desk()

    assert only(desk.send(ALICE, BOB, -1), CommandRefused).reason is Refusal.TRANSFER_ZERO


def test_unknown_account_is_shown_empty() -> None:
    """Asking for one that never held anything is no error."""
    state = Desk().state(STRANGER)

    assert not state.known
    assert (state.cash, state.positions, state.orders) == (0, (), ())


# ---- oracle ------------------------------------------------------------------------------------


def test_oracle_price_is_rounded_to_the_grid() -> None:
    """Half up, to five figures."""
    desk = Desk()

    moved = desk.apply(MoveOracle((OraclePrice(BTC, 12_345_650_000), OraclePrice(ETH, 10 * E8))))

    assert moved == [OracleMoved(BTC, 1_234_600, 1_234_600), OracleMoved(ETH, 1_000_000, 1_000_000)]


@pytest.mark.parametrize(
    ("prices", "reason"),
    [
        ((), Refusal.BATCH_EMPTY),
        ((OraclePrice(BTC, 99 * E8), OraclePrice(AssetId(9), E8)), Refusal.ASSET_UNKNOWN),
        ((OraclePrice(BTC, 99 * E8), OraclePrice(ETH, 0)), Refusal.PRICE_INVALID),
        ((OraclePrice(BTC, 2**64 - 1),), Refusal.PRICE_INVALID),
    ],
)
def test_oracle_move_is_taken_whole_or_not_at_all(
    prices: tuple[OraclePrice, ...], reason: Refusal
) -> None:
    """One bad price leaves all markets where they were."""
    desk = Desk()
    before = desk.exchange.digest()

    assert desk.apply(MoveOracle(prices)) == [CommandRefused(None, reason)]
    assert desk.exchange.digest() == before


# ---- who signed and when -----------------------------------------------------------------------


def test_command_takes_effect_up_to_its_expiry() -> None:
    """The last millisecond is still in time."""
    desk = Desk()
    in_time = PlaceOrders(ALICE, START_MS + 1, START_MS, None, (order("buy", "99", "1"),))
    late = PlaceOrders(ALICE, START_MS + 2, START_MS - 1, None, (order("buy", "99", "1"),))

    assert only(desk.apply(in_time), OrderPlaced).oid == 1
    assert desk.apply(late) == [CommandRefused(ALICE, Refusal.EXPIRED, (), True)]


def test_vault_that_is_not_there_leaves_the_nonce_unused() -> None:
    """The same nonce does for the account itself."""
    desk = Desk()

    refused = desk.apply(Noop(ALICE, START_MS, None, BOB))

    assert refused == [CommandRefused(ALICE, Refusal.VAULT_UNKNOWN, (BOB,))]
    assert desk.apply(Noop(ALICE, START_MS, None, None)) == [NonceUsed(ALICE, START_MS)]


def test_window_of_nonces_moves_with_the_block() -> None:
    """What is too far ahead now will do later."""
    desk = Desk()
    ahead = Noop(ALICE, START_MS + 86_400_000, None, None)

    assert only(desk.apply(ahead), CommandRefused).reason is Refusal.NONCE_TOO_HIGH
    desk.block(START_MS + 1)
    assert only(desk.apply(ahead), NonceUsed).signer == ALICE
