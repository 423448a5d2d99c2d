"""Every text that ccxt compares is provoked for real, and raises the class that users catch."""

import contextlib
from collections.abc import Callable
from typing import Any, Final

import ccxt
import pytest

from tests.conformance.ccxt_users import REFUSALS

pytestmark = pytest.mark.program

Open = Callable[..., Any]
Provoke = Callable[[Any, Any, str], object]
"""Gets a user, another user and a market's symbol; what it does last must be refused."""

BUY: Final = ("limit", "buy")


def _cross_post_only(user: Any, other: Any, symbol: str) -> None:
    other.rest(symbol, -0.5, 2010)
    user.api.create_order(symbol, *BUY, 0.5, 2010, {"postOnly": True})


def _send(user: Any, action: dict[str, Any]) -> None:
    """Send an action that ccxt would not make by itself, signed and judged by ccxt."""
    nonce = user.exchange.incrementing_nonce()
    signature = user.exchange.sign_l1_action(action, nonce)
    user.exchange.private_post_exchange({"action": action, "nonce": nonce, "signature": signature})


def _raw_order(
    user: Any, symbol: str, price: str = "1990", size: str = "0.5", tif: str = "Gtc"
) -> dict[str, Any]:
    asset = int(user.exchange.market(symbol)["baseId"])
    limit = {"limit": {"tif": tif}}
    return {"a": asset, "b": True, "p": price, "s": size, "r": False, "t": limit}


def _place(user: Any, *orders: dict[str, Any]) -> None:
    _send(user, {"type": "order", "orders": list(orders), "grouping": "na"})


def _use_up_the_budget(user: Any, _other: Any, symbol: str) -> None:
    batch = [_raw_order(user, symbol, size="0")] * 1_000
    for _ in range(10_000 // len(batch)):
        with contextlib.suppress(ccxt.InvalidOrder):
            _place(user, *batch)
    for _ in range(3):  # beyond the allowance one action is let through now and then
        user.api.create_order(symbol, *BUY, 0.5, 1990)


def _stranger(_user: Any, other: Any, symbol: str) -> None:
    other.exchange.walletAddress = "0x" + "11" * 20
    other.exchange.privateKey = "0x" + "22" * 32
    other.api.create_order(symbol, *BUY, 0.5, 1990)


def _stop_on_the_wrong_side(user: Any, other: Any, symbol: str) -> None:
    other.rest(symbol, -0.5, 2000)
    user.exchange.create_order(symbol, "market", "buy", 0.5, 2000)
    user.api.create_order(
        symbol, "market", "sell", 0.5, 2100, {"stopLossPrice": 2100, "reduceOnly": True}
    )


def _spot_order_beyond_the_balance(user: Any, _other: Any, _symbol: str) -> None:
    pairs = [market for market in user.exchange.fetch_markets() if market["spot"]]
    assert pairs, "there is no spot market"
    user.exchange.load_markets(True)
    price = float(pairs[0]["info"]["markPx"])
    user.api.create_order(pairs[0]["symbol"], *BUY, round(100 / price, 2), price)


@pytest.mark.parametrize(
    ("text", "raised", "provoke"),
    [
        pytest.param(
            "Price must be divisible by tick size.",
            ccxt.InvalidOrder,
            lambda user, _, symbol: _place(user, _raw_order(user, symbol, price="1990.01")),
            id="tick size",
        ),
        pytest.param(
            "Order has invalid size",
            ccxt.InvalidOrder,
            lambda user, _, symbol: _place(user, _raw_order(user, symbol, size="0.50001")),
            id="lot size",
        ),
        pytest.param(
            "Order has zero size.",
            ccxt.InvalidOrder,
            lambda user, _, symbol: _place(user, _raw_order(user, symbol, size="0")),
            id="no size",
        ),
        pytest.param(
            "Order must have minimum value of $10",
            ccxt.InvalidOrder,
            lambda user, _, symbol: user.api.create_order(symbol, *BUY, 0.001, 1990),
            id="too little",
        ),
        pytest.param(
            "Insufficient margin to place order.",
            ccxt.InsufficientFunds,
            lambda user, _, symbol: user.api.create_order(symbol, *BUY, 200, 1990),
            id="too much",
        ),
        pytest.param(
            "Reduce only order would increase position.",
            ccxt.InvalidOrder,
            lambda user, _, symbol: user.api.create_order(
                symbol, *BUY, 0.5, 1990, {"reduceOnly": True}
            ),
            id="nothing to reduce",
        ),
        pytest.param(
            "Post only order would have immediately matched,",
            ccxt.InvalidOrder,
            _cross_post_only,
            id="post only",
        ),
        pytest.param(
            "Order could not immediately match against any resting orders.",
            ccxt.InvalidOrder,
            lambda user, _, symbol: user.api.create_order(symbol, "market", "buy", 0.5, 2000),
            id="nothing to match",
        ),
        pytest.param(
            "Invalid TP/SL price.",
            ccxt.InvalidOrder,
            _stop_on_the_wrong_side,
            id="stop on the wrong side",
        ),
        pytest.param(
            "No liquidity available for market order.",
            ccxt.InvalidOrder,
            lambda user, _, symbol: _place(user, _raw_order(user, symbol, tif="FrontendMarket")),
            id="no liquidity",
        ),
        pytest.param(
            "Order was never placed, already canceled, or filled.",
            ccxt.OrderNotFound,
            lambda user, _, symbol: user.api.cancel_order("1125899906842624", symbol),
            id="cancel of nothing",
        ),
        pytest.param("User or API Wallet ", ccxt.InvalidOrder, _stranger, id="stranger"),
        pytest.param(
            "Order price cannot be more than 80% away from the reference price",
            ccxt.InvalidOrder,
            lambda user, _, symbol: user.api.create_order(symbol, *BUY, 0.5, 100),
            id="far away",
        ),
        pytest.param(
            "Insufficient spot balance asset",
            ccxt.InsufficientFunds,
            _spot_order_beyond_the_balance,
            id="spot balance",
        ),
        pytest.param(
            "Insufficient balance for withdrawal",
            ccxt.InsufficientFunds,
            lambda user, _, __: user.api.withdraw("USDC", 20_000, user.address),
            id="withdrawal",
        ),
        pytest.param(
            "Insufficient balance for token transfer",
            ccxt.InsufficientFunds,
            lambda user, _, __: user.api.transfer("USDC", 20_000, "swap", "spot"),
            id="transfer",
        ),
        pytest.param(
            "TWAP order value too small. Min is $1200, which is $10 per minute.",
            ccxt.InvalidOrder,
            lambda user, _, symbol: user.api.create_twap_order(symbol, "buy", 0.05, 7_200_000),
            id="small TWAP",
        ),
        pytest.param(
            "TWAP was never placed, already canceled, or filled.",
            ccxt.OrderNotFound,
            lambda user, _, symbol: user.api.cancel_twap_order("999999", symbol),
            id="cancel of no TWAP",
        ),
        pytest.param(
            "Too many cumulative requests sent",
            ccxt.RateLimitExceeded,
            _use_up_the_budget,
            id="request budget",
        ),
    ],
)
def test_refusal(  # noqa: PLR0917
    open_ccxt: Open,
    recorder: Any,
    symbol: str,
    text: str,
    raised: type[Exception],
    provoke: Provoke,
) -> None:
    """The text arrives as it is, and is raised as the class that ccxt has for it."""
    recorder.note_call(REFUSALS, f"`{text}` is raised as `{raised.__name__}`")
    user, other = open_ccxt(), open_ccxt()

    with pytest.raises(raised) as refusal:
        provoke(user, other, symbol)

    assert text in str(refusal.value)
    assert type(refusal.value) is raised
