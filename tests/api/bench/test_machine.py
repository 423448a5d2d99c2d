"""The machine's benchmark runs, and its flow is what it says."""

from __future__ import annotations

from collections import Counter

from api.bench.flow import Flow, block_time_ms
from api.bench.machine import run
from api.bench.rows import format_rows
from model.events import OrderCanceled, OrderPlaced, Traded
from model.exchange import Exchange
from model.invariants import check


def test_benchmark_gives_its_rows() -> None:
    """A baseline first, then ratios to it."""
    rows = run(orders=400, rounds=1)

    assert [row.unit for row in rows] == ["orders/s"] * 3
    assert rows[0].ratio is None
    assert all(row.ratio is not None and row.figure > 0 for row in rows[1:])
    assert len(format_rows(rows).splitlines()) == 3


def test_flow_is_mixed_as_it_says_and_nothing_of_it_is_refused() -> None:
    """Of a hundred about 48 rest, 46 are cancelled, 6 trade; executed again, it is the same."""
    flow = Flow()
    opening, blocks = flow.opening(), flow.blocks(3_000)
    exchange = Exchange()
    seen: Counter[type] = Counter()
    for height, block in enumerate([opening, *blocks], start=1):
        exchange.begin_block(height, block_time_ms(height))
        for command in block:
            events = exchange.apply(command)
            if height > 1:
                seen.update(type(event) for event in events)

    check(exchange)
    assert exchange.digest() == flow.exchange.digest()
    assert set(seen) <= {OrderPlaced, OrderCanceled, Traded}
    assert 1_300 < seen[OrderCanceled] < 1_500
    assert seen[Traded] > 150
