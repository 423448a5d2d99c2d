"""ccxt loads the markets of this exchange and reads everything that is public about them."""

import time
from collections.abc import Callable
from typing import Any

import ccxt
import pytest

from tests.program.harness import Program

pytestmark = pytest.mark.program

Open = Callable[..., Any]

BTC = "BTC/USDC:USDC"


@pytest.fixture
def api(open_ccxt: Open) -> Any:
    """ccxt's object of a user who has done nothing yet."""
    return open_ccxt().api


def trade(maker: Any, taker: Any, symbol: str, amount: float = 0.25) -> None:
    """Let two users trade at 2010, so that the taker has bought."""
    maker.rest(symbol, -amount, 2010)
    taker.exchange.create_order(symbol, "market", "buy", amount, 2010)


def test_markets(api: Any) -> None:
    """Each perpetual becomes a market with the precision, limits and fees that ccxt derives."""
    markets = {market["symbol"]: market for market in api.fetch_markets()}

    assert markets[BTC]["id"] == "0"
    assert markets[BTC]["swap"] is True
    assert markets[BTC]["linear"] is True
    assert markets[BTC]["active"] is True
    assert markets[BTC]["precision"] == {"amount": 1e-05, "price": 1.0}
    assert markets[BTC]["limits"]["leverage"]["max"] == 40
    assert markets[BTC]["limits"]["cost"]["min"] == 10
    assert "7203/USDC:USDC" in markets


def test_currencies(api: Any) -> None:
    """The collateral is a currency."""
    assert api.fetch_currencies()["USDC"]["id"] == "0"


def test_status_and_time(api: Any) -> None:
    """The exchange says that it works, and its clock is ours."""
    assert api.fetch_status()["status"] == "ok"
    assert abs(api.fetch_time() - time.time() * 1000) < 60_000


def test_order_book(open_ccxt: Open, symbol: str) -> None:
    """The book has both sides, best first, under either of its names."""
    user = open_ccxt()
    for amount, price in ((0.5, 1990), (0.25, 1980), (-0.5, 2010)):
        user.rest(symbol, amount, price)

    for book in (user.api.fetch_order_book(symbol), user.api.fetch_l2_order_book(symbol)):
        assert book["bids"] == [[1990.0, 0.5], [1980.0, 0.25]]
        assert book["asks"] == [[2010.0, 0.5]]
        assert book["timestamp"] > 0


def test_tickers(open_ccxt: Open, symbol: str) -> None:
    """A ticker shows the mid and what was traded; all tickers have it among them."""
    maker, taker = open_ccxt(), open_ccxt()
    trade(maker, taker, symbol, 0.25)
    maker.rest(symbol, -0.25, 2010)
    maker.rest(symbol, 0.25, 1990)

    one = taker.api.fetch_ticker(symbol)
    every = taker.api.fetch_tickers()

    assert (one["close"], one["quoteVolume"]) == (2000.0, 502.5)
    assert every[symbol]["quoteVolume"] == 502.5
    assert every[BTC]["previousClose"] == 65000.0


def test_open_interest(open_ccxt: Open, symbol: str) -> None:
    """What is open is counted once."""
    maker, taker = open_ccxt(), open_ccxt()
    trade(maker, taker, symbol, 0.25)

    assert taker.api.fetch_open_interest(symbol)["openInterestAmount"] == 0.25
    assert taker.api.fetch_open_interests()[symbol]["openInterestAmount"] == 0.25


def test_funding_rates(api: Any, symbol: str) -> None:
    """Each market has a rate, and the time of the next payment is the next full hour."""
    one = api.fetch_funding_rate(symbol)
    every = api.fetch_funding_rates()

    assert isinstance(one["fundingRate"], float)
    assert one["fundingTimestamp"] % 3_600_000 == 0
    assert 0 < one["fundingTimestamp"] - time.time() * 1000 <= 3_600_000
    assert (one["markPrice"], one["indexPrice"]) == (2000.0, 2000.0)
    assert every[symbol]["fundingRate"] == one["fundingRate"]


def test_funding_rate_history(api: Any, symbol: str) -> None:
    """Before the first full hour there is no history."""
    assert api.fetch_funding_rate_history(symbol) == []


def test_candles(open_ccxt: Open, symbol: str) -> None:
    """A trade is in the candle of its minute, of its hour and of its day."""
    maker, taker = open_ccxt(), open_ccxt()
    trade(maker, taker, symbol, 0.25)

    for frame in ("1m", "1h", "1d"):
        candle = taker.api.fetch_ohlcv(symbol, frame)[-1]
        assert candle[1:] == [2010.0, 2010.0, 2010.0, 2010.0, 0.25]
        assert candle[0] % taker.exchange.parse_timeframe(frame) == 0


def test_trades_are_ones_own(open_ccxt: Open, symbol: str) -> None:
    """ccxt reads its user's fills in place of the public trades."""
    maker, taker = open_ccxt(), open_ccxt()
    trade(maker, taker, symbol, 0.25)

    (seen,) = taker.api.fetch_trades(symbol)

    assert (seen["side"], seen["price"], seen["amount"]) == ("buy", 2010.0, 0.25)
    assert seen["takerOrMaker"] == "taker"


def test_an_unknown_market(api: Any) -> None:
    """A market that is not there is ccxt's own error, before anything is sent."""
    with pytest.raises(ccxt.BadSymbol):
        api.fetch_order_book("NOSUCH/USDC:USDC")


@pytest.mark.shows("ccxt", "loadMarkets of every type")
def test_the_default_configuration_loads(open_ccxt: Open, exchange: Program) -> None:
    """Users who do not restrict the types have spot and other dexes asked for."""
    user = open_ccxt(fetchMarkets={"types": ["spot", "swap", "hip3"]})

    assert BTC in user.api.load_markets(True)


def test_start_up_sends_what_the_reference_lists(open_ccxt: Open, recorder: Any) -> None:
    """Approval of the builder and the referral code are accepted, so that no order repeats them."""
    user = open_ccxt()
    user.api.create_order(BTC, "limit", "buy", 0.001, 64000)

    assert user.exchange.options["approvedBuilderFee"] is True
    assert {("action", "approveBuilderFee"), ("action", "setReferrer")} <= recorder.sent()
