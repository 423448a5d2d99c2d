from model.commands import CreditSource
from model.events import (
    ClassTransferred,
    CollateralSeized,
    Credited,
    Event,
    FundingPaid,
    FundingPayment,
    Leg,
    ShortfallCovered,
    Traded,
    UsdSent,
    Withdrawn,
)
from model.ids import SPOT_ASSETS_FROM, USDC, Address, AssetId, OrderId, TokenId, TradeId
from model.instruments import Instrument
from model.units import E8, USD
from model.universe import Universe
from model.views.holdings import NOTHING_HELD, AllHoldings, HoldingsRecord, Worth, worth_of
from model.views.records import Moment

BTC, PURR = AssetId(0), TokenId(1)
ALICE, BOB = Address("0x" + "a" * 40), Address("0x" + "b" * 40)
AT = Moment(height=7, time_ms=1_000, index=2)
UNIVERSE = Universe(
    [
        Instrument(BTC, "BTC", 5, 40, 65_000 * E8),
        Instrument(SPOT_ASSETS_FROM, "PURR/USDC", 2, 1, E8, base=PURR),
    ]
)


def held_after(*events: Event) -> dict[Address, HoldingsRecord]:
    book = AllHoldings(UNIVERSE, lambda _: NOTHING_HELD)
    for event in events:
        book.apply(event, AT)
    return dict(book.take_touched())


def bought(asset: AssetId, price: int, lots: int, fees: tuple[int, int] = (0, 0)) -> Traded:
    """Return a trade in which Alice buys of Bob."""
    taker = Leg(ALICE, OrderId(2), None, 0, 0, 0, fees[0])
    maker = Leg(BOB, OrderId(1), None, 0, 0, 0, fees[1])
    return Traded(asset, TradeId(1), price, lots, True, taker, maker)


def test_profit_is_worth_less_what_was_paid_in() -> None:
    """A deposit is no profit; a position that rose is, and a fee is a loss."""
    credit = Credited(ALICE, 1_000 * USD, CreditSource.FUND)
    held = held_after(credit, bought(BTC, 650_000, 1_000, (3 * USD, 0)))[ALICE]

    assert worth_of(held, {BTC: 651_000}, UNIVERSE) == Worth(
        998 * USD, 998 * USD, -2 * USD, -2 * USD
    )


def test_tokens_are_worth_their_pair() -> None:
    """Moving money to the spot side moves worth there; what is bought counts at the pair's mark."""
    held = held_after(
        Credited(ALICE, 100 * USD, CreditSource.FUND),
        ClassTransferred(ALICE, 60 * USD, False),
        bought(SPOT_ASSETS_FROM, 10**6, 1_000, (E8, 0)),
    )[ALICE]
    marks = {SPOT_ASSETS_FROM: 2 * 10**6}

    assert dict(held.tokens) == {USDC: 50 * E8, PURR: 9 * E8}
    assert worth_of(held, marks, UNIVERSE) == Worth(108 * USD, 40 * USD, 8 * USD, 0)


def test_a_liquidation_is_a_loss_of_one_and_a_gain_of_the_other() -> None:
    """What is seized or covered was not paid in, so it shows as profit and loss."""
    held = held_after(
        Credited(ALICE, 10, CreditSource.FUND),
        CollateralSeized(ALICE, BOB, None, 10),
        ShortfallCovered(ALICE, None, 4, BOB, 3, 1),
    )

    assert worth_of(held[ALICE], {}, UNIVERSE) == Worth(4, 4, -6, -6)
    assert worth_of(held[BOB], {}, UNIVERSE) == Worth(7, 7, 7, 7)


def test_money_that_leaves_and_funding_that_comes() -> None:
    """Withdrawals and transfers are no losses, their fees included; funding is profit."""
    paid = FundingPaid(BTC, 1, 1, 1, (FundingPayment(ALICE, 5, 2, False),))
    held = held_after(
        Credited(ALICE, 100, CreditSource.FUND),
        Withdrawn(ALICE, BOB, 10, 1, 5),
        UsdSent(ALICE, BOB, 20),
        paid,
    )

    assert worth_of(held[ALICE], {}, UNIVERSE) == Worth(71, 71, 2, 2)
    assert worth_of(held[BOB], {}, UNIVERSE) == Worth(20, 20, 0, 0)


def test_only_what_changed_is_told() -> None:
    """Accounts in which nothing happened cost nothing; what was kept earlier is loaded once."""
    earlier = HoldingsRecord(5, (), (), 5, 5)
    book = AllHoldings(UNIVERSE, lambda account: earlier if account == ALICE else NOTHING_HELD)
    book.apply(Credited(ALICE, 1, CreditSource.FUND), AT)

    assert book.take_touched() == [(ALICE, HoldingsRecord(6, (), (), 6, 6))]
    assert book.take_touched() == []
