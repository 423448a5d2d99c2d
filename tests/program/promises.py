"""What an exchange has promised its clients, and whether it kept it.

A ``Book of promises`` is written by load clients while they trade and is held against the exchange
after it was killed and started again. What was acknowledged must be so, exactly once; what was not
acknowledged may have happened or not, but never by half.
"""

import itertools
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, Final

from attrs import define, field

from tests.program.clients import Trader, Wanted, Wire

FILLS_PER_ANSWER: Final = 2_000
REQUESTS_IN_FLIGHT: Final = 32

ENDED: Final = frozenset(("filled", "canceled", "marginCanceled", "selfTradeCanceled"))


@define(eq=False)
class Promise:
    """One order: what was asked, what was answered (``None``: the connection broke before)."""

    trader: Trader
    wanted: Wanted
    answer: Any = None
    cancel_sent: bool = False
    cancel_answer: Any = None

    @property
    def oid(self) -> int | None:
        """The id that was told, if the order was accepted."""
        if not isinstance(self.answer, dict):
            return None
        accepted = self.answer.get("resting") or self.answer.get("filled")
        return None if accepted is None else int(accepted["oid"])


@define(eq=False)
class Promises:
    """All orders that may still change, by client order id; ids are unique among all traders."""

    orders: dict[str, Promise] = field(factory=dict)
    checked: int = 0
    fees: Decimal = Decimal(0)
    _seen_fills: set[tuple[str, int]] = field(factory=set)
    _since_ms: int = 0

    async def check(self, wire: Wire, traders: Iterable[Trader]) -> None:
        """Hold everything against what the exchange says now; forget what cannot change any more.

        Raises:
            AssertionError: a promise is broken; the text tells which.
        """
        fills = await self._new_fills(wire, list(traders))
        self._check_trades(fills)
        requests = [
            {"type": "orderStatus", "user": promise.trader.address, "oid": cloid}
            for cloid, promise in self.orders.items()
        ]
        answers = await ask_all(wire, requests)
        for (cloid, promise), answer in zip(list(self.orders.items()), answers, strict=True):
            self._check_order(cloid, promise, answer)
            self.checked += 1
            if answer["status"] == "unknownOid" or answer["order"]["status"] != "open":
                del self.orders[cloid]

    def _check_order(self, cloid: str, promise: Promise, found: Mapping[str, Any]) -> None:
        where = f"{cloid}: asked {promise}, found {found}"
        answer, cancel = promise.answer, promise.cancel_answer
        if found["status"] == "unknownOid":
            assert promise.oid is None, f"an acknowledged order is lost: {where}"
            assert cancel != "success", f"a cancelled order is lost: {where}"
            return
        order, status = found["order"]["order"], found["order"]["status"]
        assert order["cloid"] == cloid, where
        assert order["origSz"] == _plain(promise.wanted.size), f"half an order: {where}"
        if answer is not None:
            assert "error" not in answer or status.endswith("Rejected"), f"refused, yet: {where}"
        if promise.oid is not None:
            assert order["oid"] == promise.oid, f"a second order of this id: {where}"
        if isinstance(answer, dict) and "filled" in answer and promise.wanted.tif != "Ioc":
            assert status == "filled", f"filled, yet: {where}"
        if cancel == "success":
            assert status == "canceled", f"cancelled, yet: {where}"
        elif not promise.cancel_sent and promise.wanted.tif != "Ioc":
            assert status in ("open", "filled", "selfTradeCanceled") or "Rejected" in status, (
                f"nobody cancelled this: {where}"
            )

    # -- fills -----------------------------------------------------------------------------------

    async def _new_fills(self, wire: Wire, traders: list[Trader]) -> dict[str, list[Any]]:
        """Return the fills of each trader that no check has seen."""
        requests = [
            {"type": "userFillsByTime", "user": trader.address, "startTime": self._since_ms}
            for trader in traders
        ]
        new: dict[str, list[Any]] = {}
        for trader, fills in zip(traders, await ask_all(wire, requests), strict=True):
            assert len(fills) < FILLS_PER_ANSWER, "more fills than one answer holds"
            keys = [(trader.address, fill["tid"]) for fill in fills]
            assert len(set(keys)) == len(keys), "a trade is there twice"
            new[trader.address] = [
                fill for key, fill in zip(keys, fills, strict=True) if key not in self._seen_fills
            ]
            self._seen_fills.update(keys)
        newest = [fill["time"] for fills in new.values() for fill in fills]
        self._since_ms = max([self._since_ms, *newest])
        return new

    def _check_trades(self, fills: Mapping[str, list[Any]]) -> None:
        sides: defaultdict[int, list[Any]] = defaultdict(list)
        told: defaultdict[int, Decimal] = defaultdict(Decimal)
        cloids: dict[str, int] = {}
        for fill in itertools.chain.from_iterable(fills.values()):
            sides[fill["tid"]].append(fill)
            told[fill["oid"]] += Decimal(fill["sz"])
            self.fees += Decimal(fill["fee"])
            if "cloid" in fill:
                assert cloids.setdefault(fill["cloid"], fill["oid"]) == fill["oid"]
        for tid, pair in sides.items():
            assert len(pair) == 2, f"trade {tid} has {len(pair)} sides: {pair}"
            one, other = pair
            assert {one["side"], other["side"]} == {"A", "B"}
            assert (one["px"], one["sz"]) == (other["px"], other["sz"])
            assert one["crossed"] is not other["crossed"]
        for promise in self.orders.values():
            answer = promise.answer
            if isinstance(answer, dict) and "filled" in answer:
                size = Decimal(answer["filled"]["totalSz"])
                assert told[answer["filled"]["oid"]] == size, f"fills do not add up: {promise}"


async def ask_all(wire: Wire, questions: list[dict[str, Any]]) -> list[Any]:
    """Ask many questions over one socket, some at a time; return their answers in order."""
    answers: dict[int, Any] = {}
    for start in range(0, len(questions), REQUESTS_IN_FLIGHT):
        part = questions[start : start + REQUESTS_IN_FLIGHT]
        for number, question in enumerate(part, start):
            request = {"type": "info", "payload": question}
            await wire.connection.send_message(
                json.dumps({"method": "post", "id": number, "request": request})
            )
        while len(answers) < start + len(part):
            data = await wire.until("post")
            assert data["response"]["type"] == "info", data
            answers[data["id"]] = data["response"]["payload"]["data"]
    return [answers[number] for number in range(len(questions))]


def _plain(text: str) -> str:
    """Write a size as the exchange writes it."""
    return text if "." in text else f"{text}.0"
