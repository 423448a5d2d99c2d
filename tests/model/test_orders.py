"""The form of an order: grid, value and band, to the last unit on either side."""

from __future__ import annotations

import pytest

from model.commands import OrderSpec, Tif
from model.events import OrderPlaced, OrderRefused
from model.ids import AssetId
from model.instruments import Instrument
from model.markets import BAND_PERCENT, PRICE_MEMO_SIZE_MAX, Market, market_notional_max
from model.orders import LOTS_MAX, PRICE_E8_MAX, form_refusal
from model.refusals import Refusal
from model.units import E8, USD, parse_decimal
from tests.model.desk import ALICE, BTC, Desk, order

U64_MAX = 2**64 - 1


def market(size_decimals: int, price: str, max_leverage: int = 40) -> Market:
    """Make a market."""
    return Market(Instrument(AssetId(0), "X", size_decimals, max_leverage, parse_decimal(price)))


@pytest.mark.parametrize(
    ("size_decimals", "price", "is_valid"),
    [
        (0, "123456", True),
        (0, "12345.6", False),
        (0, "1234.5", True),
        (0, "1234.56", False),
        (0, "0.001234", True),
        (0, "0.0012345", False),
        (1, "0.01234", True),
        (1, "0.012345", False),
        (5, "65000.5", False),
        (5, "6500.5", True),
        (5, "6500.55", False),
        (6, "7", True),
        (6, "7.5", False),
    ],
)
def test_price_has_five_figures_or_is_whole(size_decimals: int, price: str, is_valid: bool) -> None:
    """Whole numbers always pass; others need five figures at most and few enough decimals."""
    spec = order("buy", price, "1000000", tif=Tif.GTC)

    refused = form_refusal(market(size_decimals, price), spec)

    assert (refused is not Refusal.PRICE_OFF_GRID) is is_valid


@pytest.mark.parametrize(
    ("price_e8", "size_e8", "reason"),
    [
        (U64_MAX, 1, Refusal.PRICE_INVALID),
        (-E8, E8, Refusal.PRICE_INVALID),
        (PRICE_E8_MAX + E8, E8, Refusal.PRICE_INVALID),
        (PRICE_E8_MAX, E8, Refusal.NOTIONAL_TOO_LARGE),
        (100 * E8, U64_MAX, Refusal.SIZE_OFF_GRID),
        (100 * E8, U64_MAX // E8 * E8, Refusal.NOTIONAL_TOO_LARGE),
        (100 * E8, -E8, Refusal.SIZE_OFF_GRID),
        (1 * E8, (LOTS_MAX + 1) * 10**6, Refusal.SIZE_OFF_GRID),
    ],
)
def test_numbers_at_the_edges_are_refused_and_nothing_breaks(
    price_e8: int, size_e8: int, reason: Refusal
) -> None:
    """The largest numbers that the wire can carry meet a refusal like any others."""
    spec = OrderSpec(BTC, True, price_e8, size_e8, Tif.GTC, False)

    assert form_refusal(market(2, "100"), spec) is reason


@pytest.mark.parametrize(
    ("price", "is_within"),
    [("20", True), ("19.999", False), ("180", True), ("180.01", False)],
)
def test_band_includes_its_ends(price: str, is_within: bool) -> None:
    """A price exactly 80 % from the mark is allowed."""
    assert BAND_PERCENT == 80

    refused = form_refusal(market(2, "100"), order("buy", price, "10"))

    assert (refused is None) is is_within


def test_band_is_rounded_inwards() -> None:
    """Where a fifth of the mark falls between two ticks, the band begins at the upper one."""
    a_market = market(0, "0.000013")

    assert (a_market.mark, a_market.price_low, a_market.price_high) == (13, 3, 23)


def test_band_moves_with_the_mark() -> None:
    """What was too far before an oracle move may be near after it, and the other way round."""
    desk = Desk()
    desk.move_oracle("10")

    near = desk.place(ALICE, order("buy", "10", "1"))
    far = desk.place(ALICE, order("buy", "100", "1"))

    assert [type(event) for event in near + far] == [OrderPlaced, OrderRefused]


def test_least_value_is_taken_at_the_limit_price() -> None:
    """Ten USD are enough, whatever the mark."""
    assert form_refusal(market(2, "100"), order("buy", "50", "0.2")) is None
    refused = form_refusal(market(2, "100"), order("buy", "49.999", "0.2"))
    assert refused is Refusal.NOTIONAL_TOO_SMALL


@pytest.mark.parametrize(
    ("leverage", "usd"),
    [
        (50, 15_000_000),
        (25, 15_000_000),
        (24, 5_000_000),
        (20, 5_000_000),
        (19, 2_000_000),
        (10, 2_000_000),
        (9, 500_000),
        (1, 500_000),
    ],
)
def test_largest_order_follows_from_the_leverage(leverage: int, usd: int) -> None:
    """A market order may be worth that much, a limit order ten times that."""
    assert market_notional_max(leverage) == usd * USD
    a_market = market(2, "100", leverage)
    for tif, factor in ((Tif.FRONTEND_MARKET, 1), (Tif.GTC, 10), (Tif.IOC, 10)):
        most = order("buy", "100", str(usd * factor // 100), tif=tif)
        more = order("buy", "100", str(usd * factor // 100 + 1), tif=tif)
        assert form_refusal(a_market, most) is None
        assert form_refusal(a_market, more) is Refusal.NOTIONAL_TOO_LARGE


def test_memo_of_prices_is_bounded() -> None:
    """However many prices are asked for, the memo stays within its bound and right."""
    a_market = market(0, "1")

    for price in range(20, PRICE_MEMO_SIZE_MAX + 40):
        a_market.remember_price(price * 100)
        assert len(a_market.prices) <= PRICE_MEMO_SIZE_MAX

    assert all(ticks * 100 == price for price, ticks in a_market.prices.items())
