"""The fixtures of the tests that run the real program."""

from tests.program.fixtures import _spare_numbers, asset, coin, exchange, markets_file, programs

__all__ = ["_spare_numbers", "asset", "coin", "exchange", "markets_file", "programs"]
