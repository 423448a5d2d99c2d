"""Trades once with the published client on an exchange that runs: ``python -m tests.program.smoke
URL``. It needs a faucet there, and demo markets.
"""

import sys
import time
import urllib.request
from contextlib import suppress
from typing import Any, Final

import eth_account
from hyperliquid.exchange import Exchange
from hyperliquid.info import Info

READY_SECONDS_MAX: Final = 60.0
COIN: Final = "BTC"
SIZE: Final = 0.001


def wait_ready(url: str) -> None:
    """Wait until the exchange says that it is ready; fail if it does not in time."""
    deadline = time.monotonic() + READY_SECONDS_MAX
    while time.monotonic() < deadline:
        with suppress(OSError), urllib.request.urlopen(f"{url}/health/ready", timeout=2):
            return
        time.sleep(0.2)
    raise AssertionError(f"not ready after {READY_SECONDS_MAX} s")


def trade_once(url: str) -> str:
    """Rest an order far below the market, see it, and cancel it; return what was done."""
    account = eth_account.Account.create()
    exchange: Any = Exchange(account, base_url=url)
    info: Any = Info(url, skip_ws=True)
    price = round(float(info.all_mids()[COIN]) * 0.7)
    placed = exchange.order(COIN, True, SIZE, price, {"limit": {"tif": "Gtc"}})
    order_id = placed["response"]["data"]["statuses"][0]["resting"]["oid"]
    (seen,) = info.open_orders(account.address)
    assert seen["oid"] == order_id, seen
    cancelled = exchange.cancel(COIN, order_id)
    assert cancelled["response"]["data"]["statuses"] == ["success"], cancelled
    assert info.open_orders(account.address) == []
    return f"order {order_id} rested at {price} and was cancelled"


if __name__ == "__main__":
    wait_ready(sys.argv[1])
    print(trade_once(sys.argv[1]))
