"""The book on the wire, made fast.

A book of twenty levels a side is eighty texts. Most levels of one frame stand in the next one as
well, so the encoder keeps the bytes of the levels of its last frame and writes only those that are
new. It holds at most one frame's worth of levels.
"""

from __future__ import annotations

from api.wire.decimals import ZERO, price_text, size_text
from api.wire.frames import encode
from model.instruments import Instrument
from model.views.depth import Level, Levels


class BookEncoder:
    """Encodes one variant of one market's book: give every variant (aggregation) its own."""

    def __init__(self, instrument: Instrument) -> None:
        self._instrument = instrument
        self._head = b'{"coin":%b,"time":' % encode(instrument.name)
        self._bids: dict[Level, bytes] = {}
        self._asks: dict[Level, bytes] = {}

    def encode(
        self,
        bids: Levels,
        asks: Levels,
        *,
        time_ms: int,
        with_spread: bool = False,
        is_fast: bool = False,
    ) -> bytes:
        """Return the data of an ``l2Book`` frame, which is also the answer of the info request.

        Args:
            bids: levels, best first.
            asks: levels, best first.
            time_ms: chain time of the book.
            with_spread: the book is aggregated, so the wire shows the distance of its best levels.
            is_fast: the subscription asked for the fast book.
        """
        self._bids = self._levels(bids, self._bids)
        self._asks = self._levels(asks, self._asks)
        parts = [
            self._head,
            b"%d" % time_ms,
            b',"levels":[[',
            b",".join(self._bids.values()),
            b"],[",
            b",".join(self._asks.values()),
            b"]]",
        ]
        if with_spread:
            parts.append(b',"spread":"%b"' % self._spread(bids, asks).encode())
        if is_fast:
            parts.append(b',"fast":true')
        parts.append(b"}")
        return b"".join(parts)

    def bbo(self, bid: Level | None, ask: Level | None, *, time_ms: int) -> bytes:
        """Return the data of a ``bbo`` frame; an empty side is null."""
        best = b",".join(b"null" if level is None else self._level(level) for level in (bid, ask))
        return b'%b%d,"bbo":[%b]}' % (self._head, time_ms, best)

    def _levels(self, levels: Levels, known: dict[Level, bytes]) -> dict[Level, bytes]:
        return {level: known.get(level) or self._level(level) for level in levels}

    def _level(self, level: Level) -> bytes:
        price = price_text(level.price, self._instrument)
        size = size_text(level.lots, self._instrument)
        return f'{{"px":"{price}","sz":"{size}","n":{level.count}}}'.encode()

    def _spread(self, bids: Levels, asks: Levels) -> str:
        if not bids or not asks:
            return ZERO
        return price_text(asks[0].price - bids[0].price, self._instrument)
