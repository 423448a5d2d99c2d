"""The book encoder writes what a plain encoder would, and reuses what it wrote."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from api.wire.book import BookEncoder
from api.wire.decimals import price_text, size_text
from model.ids import AssetId
from model.instruments import Instrument
from model.views.depth import Level, Levels

ETH = Instrument(AssetId(1), "ETH", 4, 25, 2_000 * 10**8)
BIDS = (Level(199_900, 10_000, 1),)
ASKS = (Level(200_100, 5_000, 2), Level(200_200, 1, 1))


def levels() -> st.SearchStrategy[Levels]:
    """Draw up to twenty levels of different prices."""
    level = st.builds(
        Level, st.integers(199_900, 199_930), st.integers(1, 10**9), st.integers(1, 99)
    )
    return st.lists(level, max_size=20, unique_by=lambda level: level.price).map(tuple)


def test_book_has_both_sides_even_when_empty() -> None:
    """Bids come first; an empty side is an empty list."""
    full = BookEncoder(ETH).encode(BIDS, ASKS, time_ms=5)
    empty = BookEncoder(ETH).encode((), (), time_ms=5)

    assert full == (
        b'{"coin":"ETH","time":5,"levels":[[{"px":"1999.0","sz":"1.0","n":1}],'
        b'[{"px":"2001.0","sz":"0.5","n":2},{"px":"2002.0","sz":"0.0001","n":1}]]}'
    )
    assert empty == b'{"coin":"ETH","time":5,"levels":[[],[]]}'


def test_aggregated_book_shows_its_spread() -> None:
    """The spread is the distance of the best levels, and zero where a side is empty."""
    encoder = BookEncoder(ETH)

    assert encoder.encode(BIDS, ASKS, time_ms=5, with_spread=True).endswith(b',"spread":"2.0"}')
    assert encoder.encode(BIDS, (), time_ms=5, with_spread=True).endswith(b',"spread":"0.0"}')


def test_fast_book_says_so() -> None:
    """The key appears only as true."""
    encoder = BookEncoder(ETH)

    assert encoder.encode(BIDS, ASKS, time_ms=5, is_fast=True).endswith(b',"fast":true}')
    assert b"fast" not in encoder.encode(BIDS, ASKS, time_ms=5)


def test_best_levels_may_be_missing() -> None:
    """A side without orders is null."""
    encoder = BookEncoder(ETH)

    assert encoder.bbo(BIDS[0], None, time_ms=5) == (
        b'{"coin":"ETH","time":5,"bbo":[{"px":"1999.0","sz":"1.0","n":1},null]}'
    )
    assert encoder.bbo(None, None, time_ms=5) == b'{"coin":"ETH","time":5,"bbo":[null,null]}'


@given(st.lists(st.tuples(levels(), levels()), min_size=1, max_size=5))
def test_memo_never_shows(books: list[tuple[Levels, Levels]]) -> None:
    """Whatever books came before, each is encoded as if it were the first."""
    encoder = BookEncoder(ETH)

    for bids, asks in books:
        shown = msgspec.json.decode(encoder.encode(bids, asks, time_ms=1))
        assert shown["levels"] == [
            [
                {
                    "px": price_text(level.price, ETH),
                    "sz": size_text(level.lots, ETH),
                    "n": level.count,
                }
                for level in side
            ]
            for side in (bids, asks)
        ]
