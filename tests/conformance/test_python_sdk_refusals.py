"""Every text that published clients compare is provoked for real, through the Python SDK."""

from collections.abc import Callable

import pytest

from tests.conformance.wallets import ALO, GTC, IOC, Wallet
from tests.program.harness import Program

pytestmark = pytest.mark.program

Open = Callable[..., Wallet]


@pytest.mark.parametrize(
    ("order", "text"),
    [
        pytest.param((0.5, 1990.01), "Price must be divisible by tick size.", id="six figures"),
        pytest.param((0.5, 0.001), "Price must be divisible by tick size.", id="decimals"),
        pytest.param((0.001, 1990), "Order must have minimum value of $10.", id="tiny"),
        pytest.param((0.00001, 1990), "Order has invalid size.", id="below a lot"),
        pytest.param(
            (0.5, 100),
            "Order price cannot be more than 80% away from the reference price",
            id="far away",
        ),
        pytest.param((200, 1990), "Insufficient margin to place order.", id="too large"),
    ],
)
def test_an_order_that_is_refused(
    open_wallet: Open, coin: str, asset: int, order: tuple[float, float], text: str
) -> None:
    """The text is the one that clients look for, with the asset after its full stop."""
    wallet = open_wallet()

    status = wallet.place(coin, *order)

    assert status["error"] == f"{text} asset={asset}"
    assert wallet.open_oids() == []


def test_zero_size(open_wallet: Open, coin: str, asset: int) -> None:
    """An order of nothing is refused as one."""
    answer = open_wallet().exchange.order(coin, True, 0.0, 1990, GTC)

    assert answer["response"]["data"]["statuses"] == [
        {"error": f"Order has zero size. asset={asset}"}
    ]


def test_zero_price(open_wallet: Open, coin: str) -> None:
    """A price of nothing is refused as one."""
    answer = open_wallet().exchange.order(coin, True, 1.0, 0.0, GTC)

    assert answer["response"]["data"]["statuses"] == [{"error": "Order has invalid price."}]


def test_reduce_only_without_a_position(open_wallet: Open, coin: str, asset: int) -> None:
    """Reduce-only has nothing to reduce."""
    status = open_wallet().place(coin, 0.5, 1990, reduce_only=True)

    assert status["error"] == f"Reduce only order would increase position. asset={asset}"


def test_post_only_that_would_trade(open_wallet: Open, coin: str, asset: int) -> None:
    """The refusal shows the best bid and ask."""
    maker, wallet = open_wallet(), open_wallet()
    maker.rest(coin, 0.5, 1990)
    maker.rest(coin, -0.5, 2010)

    status = wallet.place(coin, 0.5, 2010, ALO)

    assert status["error"] == (
        f"Post only order would have immediately matched, bbo was 1990.0@2010.0. asset={asset}"
    )


def test_ioc_that_finds_nothing(open_wallet: Open, coin: str, asset: int) -> None:
    """An immediate order in an empty book is an error, not a fill of nothing."""
    wallet = open_wallet()

    status = wallet.place(coin, 0.5, 2010, IOC)

    assert status["error"] == (
        f"Order could not immediately match against any resting orders. asset={asset}"
    )
    (order,) = wallet.info.historical_orders(wallet.address)
    assert order["status"] == "iocCancelRejected"


def test_a_market_order_that_finds_nothing(open_wallet: Open, coin: str, asset: int) -> None:
    """A front end's market order in an empty book is told so."""
    wallet = open_wallet()

    status = wallet.place(coin, 0.5, 2010, {"limit": {"tif": "FrontendMarket"}})

    assert status["error"] == f"No liquidity available for market order. asset={asset}"
    (order,) = wallet.info.historical_orders(wallet.address)
    assert order["status"] == "marketOrderNoLiquidityRejected"


def test_cancel_of_what_is_not_there(open_wallet: Open, coin: str, asset: int) -> None:
    """Never placed, already cancelled, filled: one text for all."""
    maker, wallet = open_wallet(), open_wallet()
    canceled = wallet.rest(coin, 0.5, 1990)
    wallet.exchange.cancel(coin, canceled)
    maker.rest(coin, -0.5, 2010)
    filled = wallet.place(coin, 0.5, 2010)["filled"]["oid"]

    for oid in (2**50, canceled, filled):
        answer = wallet.exchange.cancel(coin, oid)
        assert answer["response"]["data"]["statuses"] == [
            {"error": f"Order was never placed, already canceled, or filled. asset={asset}"}
        ]


def test_an_address_that_nobody_funded(open_wallet: Open, coin: str) -> None:
    """Without a faucet a stranger is told that the wallet does not exist."""
    wallet = open_wallet(0)

    answer = wallet.exchange.order(coin, True, 0.5, 1990, GTC)

    assert answer["status"] == "err"
    assert answer["response"] == f"User or API Wallet {wallet.address.lower()} does not exist."


def test_a_transfer_of_more_than_there_is(open_wallet: Open) -> None:
    """What is not there cannot be sent, nor what a position needs."""
    sender, receiver = open_wallet(100), open_wallet(5)

    answer = sender.exchange.usd_transfer(100.01, receiver.address)

    assert answer == {"status": "err", "response": "Insufficient balance for token transfer"}


def test_a_transfer_of_nothing(open_wallet: Open) -> None:
    """An amount of zero is named as the mistake."""
    sender, receiver = open_wallet(100), open_wallet(5)

    assert sender.exchange.usd_transfer(0.0, receiver.address) == {
        "status": "err",
        "response": "Send amount cannot be zero",
    }


def test_a_cloid_that_is_in_use(open_wallet: Open, coin: str) -> None:
    """Open orders of an account differ in their client ids; later ones may reuse them."""
    from hyperliquid.utils.types import Cloid

    wallet = open_wallet()
    mark = Cloid.from_int(99)
    first = wallet.rest(coin, 0.5, 1990, cloid=mark)

    refused = wallet.place(coin, 0.5, 1980, cloid=mark)
    wallet.exchange.cancel(coin, first)
    again = wallet.rest(coin, 0.5, 1980, cloid=mark)

    assert "already used" in refused["error"]
    assert wallet.open_oids() == [again]


def test_an_empty_batch(open_wallet: Open) -> None:
    """A batch of no orders is refused as a whole."""
    answer = open_wallet().exchange.bulk_orders([])

    assert answer == {"status": "err", "response": "Orders are empty."}


def test_unknown_vault(open_wallet: Open, exchange: Program, coin: str) -> None:
    """Acting for a vault that does not exist is refused with its address."""
    vault = "0x00000000000000000000000000000000deadbeef"
    wallet = open_wallet(vault_address=vault)

    answer = wallet.exchange.order(coin, True, 0.5, 1990, GTC)

    assert answer == {"status": "err", "response": f"Vault not registered: {vault}"}
