"""What operators are told."""

from __future__ import annotations

from api.operator import oracle_moved
from model.events import OracleMoved
from model.ids import AssetId


def test_operator_is_told_of_the_market_that_was_moved() -> None:
    """A move computes all marks anew, and the first one that changed may be another market's."""
    other, moved = OracleMoved(AssetId(0), 5, 6), OracleMoved(AssetId(1), 7, 8)

    assert oracle_moved([other, moved], AssetId(1)) is moved
