"""What order entry costs at the edge: signing, reading, finding the signer, answering.

Each row is one function on one request, in this process, one core. Left out: HTTP and WebSocket,
the exchange itself, and the client's transport. Decimals of the requests have been read before,
except in the rows that say *anew*: prices and sizes of a market repeat, and are remembered. The
ratio is to the one cost that cannot be avoided, the recovery of a public key in C.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable
from typing import Any, Final

from api.actions import parse_request, sign_request, to_command
from api.answers import answer
from api.bench.rows import Row, print_rows
from api.exchange.values import read_decimal
from api.signing import Chain, SigningKey, l1_action_hash, l1_digest, recover_signer
from model.commands import Tif
from model.events import OrderPlaced
from model.ids import AssetId, OrderId
from model.instruments import Instrument

BATCH: Final = 40
NONCE: Final = 1_700_000_000_000
KEY: Final = SigningKey.of_hex("11" * 32)
BTC: Final = Instrument(AssetId(0), "BTC", 5, 40, 65_000 * 10**8)

Case = tuple[str, Callable[[], object]]


def run(*, repeats: int = 2_000, rounds: int = 7) -> list[Row]:
    """Time every step for a single order and for a batch."""
    digest = l1_digest(l1_action_hash(_order_action(1), NONCE), Chain.TESTNET)
    signature = KEY.sign(digest)
    recovery = _measure(lambda: recover_signer(digest, signature), repeats, rounds)
    rows = [_row("recover a signer from a digest", recovery, None)]
    for orders in (1, BATCH):
        for name, step in _cases(orders):
            times = _measure(step, max(1, repeats // orders), rounds)
            rows.append(_row(f"{name}, {orders} order{'s' * (orders > 1)}", times, recovery))
    return rows


def _cases(orders: int) -> list[Case]:
    action = _order_action(orders)
    body = sign_request(KEY, action, NONCE)
    request = parse_request(body)
    events = [_placed(index) for index in range(orders)]

    def parse_anew() -> None:
        read_decimal.cache_clear()
        parse_request(body)

    return [
        ("sign and write a request", lambda: sign_request(KEY, action, NONCE)),
        ("hash an action", lambda: l1_action_hash(request.action, NONCE)),
        ("read a request", lambda: parse_request(body)),
        ("read a request anew", parse_anew),
        ("hash, recover, make the command", lambda: to_command(request)),
        ("answer", lambda: answer(request, events, lambda _: BTC)),
    ]


def _order_action(orders: int) -> dict[str, Any]:
    wires = [
        {
            "a": 0,
            "b": True,
            "p": str(65_000 + index),
            "s": f"0.{index + 100}1",
            "r": False,
            "t": {"limit": {"tif": "Gtc"}},
            "c": f"0x{index:032x}",
        }
        for index in range(orders)
    ]
    return {"type": "order", "orders": wires, "grouping": "na"}


def _placed(index: int) -> OrderPlaced:
    oid = OrderId(1_000_000 + index)
    return OrderPlaced(BTC.asset, KEY.address, oid, True, 650_000, 1_000, Tif.GTC, False, None)


def _measure(step: Callable[[], object], repeats: int, rounds: int) -> list[float]:
    """Return the microseconds of one step in each round, the first round left out."""
    times = []
    gc.collect()
    for _ in range(rounds + 1):
        started = time.perf_counter()
        for _ in range(repeats):
            step()
        times.append((time.perf_counter() - started) / repeats * 1e6)
    return times[1:]


def _row(name: str, times: list[float], baseline: list[float] | None) -> Row:
    figure = statistics.median(times)
    ratio = None if baseline is None else figure / statistics.median(baseline)
    return Row(name, figure, "us", ratio, f"best {min(times):.1f}, worst {max(times):.1f}")


if __name__ == "__main__":
    print_rows(run())
