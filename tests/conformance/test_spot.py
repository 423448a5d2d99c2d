"""Spot markets, through the Python SDK and through ccxt: balances, holds, orders, fills."""

from collections.abc import Callable
from typing import Any, Final

import ccxt
import pytest

from tests.conformance.wallets import GTC, IOC, Wallet
from tests.program.harness import Program

pytestmark = pytest.mark.program

Open = Callable[..., Any]

TOKEN: Final = "SAKE"
PAIR: Final = f"{TOKEN}/USDC"
PRICE: Final = 2.5


def give(exchange: Program, address: str, amount: int) -> None:
    """Credit an account with the token."""
    exchange.admin(do="fund", account=address, token=TOKEN, amount=str(amount))


def holdings(wallet: Wallet) -> dict[str, tuple[str, str]]:
    """Return what somebody has of each token, and how much of it is held by orders."""
    balances = wallet.info.spot_user_state(wallet.address)["balances"]
    return {balance["coin"]: (balance["total"], balance["hold"]) for balance in balances}


@pytest.mark.shows("Python SDK", "Exchange.order of a spot pair")
def test_the_python_sdk(open_wallet: Callable[..., Wallet], exchange: Program) -> None:
    """An order holds what it would pay; a fill moves both tokens, and the fee is in what is got."""
    seller, buyer = open_wallet(), open_wallet()
    give(exchange, seller.address, 100)
    buyer.exchange.usd_class_transfer(1_000, False)

    seller.rest(PAIR, -20, PRICE)
    assert holdings(seller) == {"SAKE": ("100.0", "20.0")}
    oid = buyer.rest(PAIR, 10, 2)
    assert holdings(buyer) == {"USDC": ("1000.0", "20.0")}
    buyer.exchange.cancel(PAIR, oid)

    status = buyer.place(PAIR, 20, PRICE, IOC)

    assert status["filled"]["avgPx"] == "2.5"
    (fill,) = buyer.info.user_fills(buyer.address)
    assert (fill["dir"], fill["side"], fill["feeToken"]) == ("Buy", "B", "SAKE")
    assert fill["fee"] == "0.014"  # 0.07 % of the 20 tokens got
    assert holdings(buyer) == {"USDC": ("950.0", "0.0"), "SAKE": ("19.986", "0.0")}
    (fill,) = seller.info.user_fills(seller.address)
    assert (fill["dir"], fill["feeToken"], fill["fee"]) == ("Sell", "USDC", "0.02")


@pytest.mark.shows("ccxt", "createOrder of a spot pair")
def test_ccxt(open_ccxt: Open, exchange: Program) -> None:
    """The pair is a market; orders of it are found, filled, and seen in the balance."""
    seller, buyer = open_ccxt(), open_ccxt()
    give(exchange, seller.address, 100)
    buyer.exchange.transfer("USDC", 1_000, "swap", "spot")
    market = buyer.exchange.market(PAIR)
    assert (market["spot"], market["base"], market["quote"]) == (True, TOKEN, "USDC")

    placed = seller.api.create_order(PAIR, "limit", "sell", 20, 2.6)
    assert [order["id"] for order in seller.api.fetch_open_orders(PAIR)] == [placed["id"]]
    assert seller.api.fetch_balance({"type": "spot"})[TOKEN] == {
        "free": 80.0,
        "used": 20.0,
        "total": 100.0,
    }

    filled = buyer.api.create_order(PAIR, "market", "buy", 10, 2.6)

    assert (filled["filled"], filled["average"]) == (10.0, 2.6)
    (trade,) = buyer.api.fetch_my_trades(PAIR)
    assert (trade["symbol"], trade["side"], trade["amount"]) == (PAIR, "buy", 10.0)
    assert buyer.api.fetch_ticker(PAIR)["symbol"] == PAIR
    assert buyer.api.fetch_order_book(PAIR)["asks"] == [[2.6, 10.0]]
    seller.api.cancel_order(placed["id"], PAIR)
    with pytest.raises(ccxt.InsufficientFunds):
        buyer.exchange.create_order(PAIR, "limit", "sell", 50, 2.6)


def test_a_token_is_sent(open_wallet: Callable[..., Wallet], exchange: Program) -> None:
    """A token goes to somebody else, under the name and id that metadata gives it."""
    sender, receiver = open_wallet(), open_wallet()
    give(exchange, sender.address, 100)
    (token,) = (token for token in sender.info.spot_meta()["tokens"] if token["name"] == TOKEN)

    answer = sender.exchange.spot_transfer(30, receiver.address, f"{TOKEN}:{token['tokenId']}")

    assert answer == {"status": "ok", "response": {"type": "default"}}
    assert holdings(receiver) == {TOKEN: ("30.0", "0.0")}


def test_an_order_without_the_means(open_wallet: Callable[..., Wallet]) -> None:
    """Who has not what the order would pay is told so, with the pair's asset id."""
    answer = open_wallet().exchange.order(PAIR, True, 10, PRICE, GTC)

    assert answer["response"]["data"]["statuses"] == [
        {"error": "Insufficient spot balance asset=10000"}
    ]
