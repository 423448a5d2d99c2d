"""The settings file of an exchange: its markets and its fees.

The file is TOML; ``api/markets.toml`` is the default one and explains every field. Reading is
strict: an unknown key, a number in quotes, a price off the grid or two markets of one name are
refused, and the message names the file, the market and the field. All mistakes of a file are
reported at once.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from importlib import resources
from pathlib import Path
from typing import Any, Final, NewType, TypeVar

from attrs import Attribute, field, frozen
from cattrs import Converter
from cattrs.errors import ClassValidationError, ForbiddenExtraKeysError

from model.ids import AssetId
from model.instruments import Instrument, is_on_grid
from model.units import E8, PRICE_DECIMALS_MAX, parse_decimal

CONFIG_BYTES_MAX: Final = 1_000_000
"""Some hundred thousand lines would not be a settings file."""

MARKETS_MAX: Final = 512
"""Each market is an actor with frames of its own; ids from 10,000 on mean other things."""

LEVERAGE_MAX: Final = 49
"""Clients read a margin table id below 50 as the leverage itself; higher ones would need tables."""

FEE_PPM_MAX: Final = 10_000
"""One per cent of the notional."""

VOLATILITY_PPM_MAX: Final = 10_000
OPENING_PRICE_E8_MAX: Final = 10**9 * E8

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,19}", re.ASCII)

PriceE8 = NewType("PriceE8", int)
"""A price in units of 1e-8 USD, written as a decimal text in the file."""

T = TypeVar("T")


class ConfigError(Exception):
    """The settings file cannot be used; the message lists everything that is wrong with it."""


def _within(low: int, high: int) -> Any:
    def check(_instance: object, attribute: Attribute[int], value: int) -> None:
        if not low <= value <= high:
            raise ValueError(f"{attribute.name}: must be {low} to {high}, not {value}")

    return check


def _is_name(_instance: object, attribute: Attribute[str], value: str) -> None:
    if _NAME.fullmatch(value) is None:
        rule = 'must be 1 to 20 letters, digits, ".", "_" or "-", beginning with a letter or digit'
        raise ValueError(f"{attribute.name}: {rule}, not {value!r}")


@frozen
class Fees:
    """Rates in parts per million of a trade's notional."""

    taker_fee_ppm: int = field(default=450, validator=_within(0, FEE_PPM_MAX))
    maker_fee_ppm: int = field(default=150, validator=_within(0, FEE_PPM_MAX))


@frozen
class MarketConfig:
    """One market of the file.

    ``volatility_ppm`` is how far the demo's oracle typically moves in a second.
    """

    name: str = field(validator=_is_name)
    size_decimals: int = field(validator=_within(0, PRICE_DECIMALS_MAX))
    max_leverage: int = field(validator=_within(1, LEVERAGE_MAX))
    opening_price: PriceE8 = field()
    volatility_ppm: int = field(default=100, validator=_within(0, VOLATILITY_PPM_MAX))

    @opening_price.validator
    def _check_opening_price(self, attribute: Attribute[PriceE8], value: int) -> None:
        if not 0 < value <= OPENING_PRICE_E8_MAX:
            raise ValueError(f"{attribute.name}: must be above 0 and at most 1000000000")
        if not is_on_grid(value, self.instrument(AssetId(0)).tick_e8):
            decimals = PRICE_DECIMALS_MAX - self.size_decimals
            rule = (
                f"must have at most {decimals} decimals and, unless whole, five significant figures"
            )
            raise ValueError(f"{attribute.name}: {rule}")

    def instrument(self, asset: AssetId) -> Instrument:
        """Return the market as the model knows it, under this asset id."""
        return Instrument(
            asset, self.name, self.size_decimals, self.max_leverage, self.opening_price
        )


@frozen
class ExchangeConfig:
    """What an exchange is opened with. The place of a market in ``markets`` is its asset id."""

    fees: Fees
    markets: tuple[MarketConfig, ...]

    @property
    def instruments(self) -> tuple[Instrument, ...]:
        """The markets as the model knows them, by asset id."""
        return tuple(market.instrument(AssetId(index)) for index, market in enumerate(self.markets))


def load_config(path: Path | None = None) -> ExchangeConfig:
    """Read a settings file; without a path, the one that comes with the program.

    Raises:
        ConfigError: the file cannot be read, is not TOML, or says something that it may not.
    """
    if path is None:
        return parse_config(
            resources.files("api").joinpath("markets.toml").read_text("utf-8"), "markets.toml"
        )
    try:
        with path.open("rb") as file:
            content = file.read(CONFIG_BYTES_MAX + 1)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    if len(content) > CONFIG_BYTES_MAX:
        raise ConfigError(f"{path}: larger than {CONFIG_BYTES_MAX} bytes")
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 text (byte {error.start})") from error
    return parse_config(text, str(path))


def parse_config(text: str, file: str) -> ExchangeConfig:
    """Read the text of a settings file; ``file`` is the name to use in complaints.

    Raises:
        ConfigError: the text is not TOML, or says something that it may not.
    """
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{file}: not TOML: {error}") from error
    complaints: list[str] = []
    config = _structure_document(document, complaints)
    if complaints:
        raise ConfigError("\n".join(f"{file}: {complaint}" for complaint in complaints))
    return config


def _structure_document(document: Mapping[str, Any], complaints: list[str]) -> ExchangeConfig:
    complaints += [f"{key}: unknown key" for key in document if key not in {"fees", "markets"}]
    fees = _structure(document.get("fees", {}), Fees, "fees", complaints)
    tables = document.get("markets")
    if not isinstance(tables, list) or not 0 < len(tables) <= MARKETS_MAX:
        complaints.append(f"markets: must be 1 to {MARKETS_MAX} [[markets]] tables")
        tables = []
    markets = [
        _structure(table, MarketConfig, _market_label(table, index), complaints)
        for index, table in enumerate(tables)
    ]
    complaints += _duplicates([market.name for market in markets if market is not None])
    return ExchangeConfig(fees or Fees(), tuple(market for market in markets if market is not None))


def _market_label(table: object, index: int) -> str:
    name = table.get("name") if isinstance(table, Mapping) else None
    return f"market {name}" if isinstance(name, str) and name else f"market number {index + 1}"


def _duplicates(names: list[str]) -> Iterator[str]:
    """Complain of names that differ in letter case at most: nobody could tell them apart."""
    seen: dict[str, str] = {}
    for name in names:
        first = seen.setdefault(name.lower(), name)
        if first is not name:
            yield f"market {name}: name: another market is called {first}"


def _structure(table: object, kind: type[T], label: str, complaints: list[str]) -> T | None:
    if not isinstance(table, Mapping):
        complaints.append(f"{label}: must be a table")
        return None
    try:
        return _CONVERTER.structure(table, kind)
    except ClassValidationError as error:
        complaints += [f"{label}: {complaint}" for complaint in _explain(error)]
        return None


def _explain(error: ClassValidationError) -> Iterator[str]:
    with_notes, without_notes = error.group_exceptions()
    for exception, note in with_notes:
        missing = isinstance(exception, KeyError)
        yield f"{note.name}: {'missing' if missing else exception}"
    for exception in without_notes:
        if isinstance(exception, ForbiddenExtraKeysError):
            yield from (f"{key}: unknown key" for key in sorted(exception.extra_fields))
        else:
            yield str(exception)


def _structure_int(value: object, _kind: object) -> int:
    if type(value) is not int:
        raise ValueError(f"must be a whole number without quotes, not {value!r}")
    return value


def _structure_str(value: object, _kind: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"must be a text in quotes, not {value!r}")
    return value


def _structure_price(value: object, kind: object) -> int:
    return parse_decimal(_structure_str(value, kind))


def _make_converter() -> Converter:
    converter = Converter(forbid_extra_keys=True)
    converter.register_structure_hook(int, _structure_int)
    converter.register_structure_hook(str, _structure_str)
    converter.register_structure_hook(PriceE8, _structure_price)
    return converter


_CONVERTER: Final = _make_converter()
