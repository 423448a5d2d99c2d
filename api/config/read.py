"""Reading a settings file.

Reading is strict: an unknown key, a number in quotes, a price off the grid or two markets of one
name are refused, and the message names the file, the market and the field. All mistakes of a file
are reported at once.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from enum import Enum
from importlib import resources
from pathlib import Path
from typing import Any, Final, TypeVar

from attrs import frozen
from cattrs import Converter
from cattrs.errors import (
    BaseValidationError,
    ClassValidationError,
    ForbiddenExtraKeysError,
)

from api.config.tables import (
    MARKETS_MAX,
    TOKENS_MAX,
    ExchangeConfig,
    Fees,
    Limits,
    ListedTables,
    MarketConfig,
    MicroUsd,
    PairConfig,
    PriceE8,
    Prices,
)
from model.units import parse_decimal

CONFIG_BYTES_MAX: Final = 1_000_000
"""Some hundred thousand lines would not be a settings file."""

DEFAULT_FILE: Final = "markets.toml"
_LISTED_KEYS: Final = frozenset(("markets", "pairs"))
_KEYS: Final = _LISTED_KEYS | {"fees", "prices", "limits"}

T = TypeVar("T")


class ConfigError(Exception):
    """The settings file cannot be used; the message lists everything that is wrong with it."""


def load_config(path: Path | None = None) -> ExchangeConfig:
    """Read a settings file; without a path, the one that comes with the program.

    Raises:
        ConfigError: the file cannot be read, is not TOML, or says something that it may not.
    """
    if path is None:
        text = resources.files("api.config").joinpath(DEFAULT_FILE).read_text("utf-8")
        return parse_config(text, DEFAULT_FILE)
    return parse_config(read_text(path), str(path))


def load_listed(path: Path) -> ListedTables:
    """Read a file that holds markets only, to be added to an exchange.

    Raises:
        ConfigError: as ``load_config``.
    """
    return parse_listed(read_text(path), str(path))


def read_text(path: Path) -> str:
    """Return the text of a settings file.

    Raises:
        ConfigError: it cannot be read, is too long, or is no text.
    """
    try:
        with path.open("rb") as file:
            content = file.read(CONFIG_BYTES_MAX + 1)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    if len(content) > CONFIG_BYTES_MAX:
        raise ConfigError(f"{path}: larger than {CONFIG_BYTES_MAX} bytes")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 text (byte {error.start})") from error


def parse_config(text: str, file: str) -> ExchangeConfig:
    """Read the text of a settings file; ``file`` is the name to use in complaints.

    Raises:
        ConfigError: the text is not TOML, or says something that it may not.
    """
    reader = _Reader(_document(text, file), _KEYS)
    if not reader.document.get("markets"):
        reader.complaints.append(f"markets: must be 1 to {MARKETS_MAX} [[markets]] tables")
    fees = reader.table("fees", Fees)
    prices = reader.table("prices", Prices)
    limits = reader.table("limits", Limits)
    listed = reader.listed()
    reader.complain(file)
    return ExchangeConfig(listed.markets, listed.pairs, fees, prices, limits)


def parse_listed(text: str, file: str) -> ListedTables:
    """Read the text of a file with markets only; ``file`` is the name to use in complaints.

    Raises:
        ConfigError: as ``parse_config``.
    """
    reader = _Reader(_document(text, file), _LISTED_KEYS)
    listed = reader.listed()
    if not listed.markets and not listed.pairs and not reader.complaints:
        reader.complaints.append("must have at least one [[markets]] or [[pairs]] table")
    reader.complain(file)
    return listed


def _document(text: str, file: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{file}: not TOML: {error}") from error


class _Reader:
    """Takes tables out of a document and gathers what is wrong with them."""

    def __init__(self, document: Mapping[str, Any], keys: frozenset[str]) -> None:
        self.document = document
        self.complaints = [f"{key}: unknown key" for key in document if key not in keys]

    def complain(self, file: str) -> None:
        if self.complaints:
            raise ConfigError("\n".join(f"{file}: {complaint}" for complaint in self.complaints))

    def table(self, key: str, kind: type[T]) -> T:
        """Read one table; what it leaves out, or all of it, has its default."""
        read = self._structure(self.document.get(key, {}), kind, key)
        return kind() if read is None else read

    def listed(self) -> ListedTables:
        markets = self._tables("markets", MARKETS_MAX, MarketConfig, _Label("market", "name"))
        pairs = self._tables("pairs", TOKENS_MAX, PairConfig, _Label("pair", "token"))
        self.complaints += _duplicates("market", "name", [market.name for market in markets])
        self.complaints += _duplicates("pair", "token", [pair.token for pair in pairs])
        return ListedTables(tuple(markets), tuple(pairs))

    def _tables(self, key: str, most: int, kind: type[T], label: _Label) -> list[T]:
        tables = self.document.get(key, [])
        if not isinstance(tables, list) or len(tables) > most:
            self.complaints.append(f"{key}: must be 1 to {most} [[{key}]] tables")
            return []
        read = (
            self._structure(table, kind, label.of(table, index))
            for index, table in enumerate(tables)
        )
        return [table for table in read if table is not None]

    def _structure(self, table: object, kind: type[T], label: str) -> T | None:
        if not isinstance(table, Mapping):
            self.complaints.append(f"{label}: must be a table")
            return None
        try:
            return _CONVERTER.structure(table, kind)
        except ClassValidationError as error:
            self.complaints += [f"{label}: {complaint}" for complaint in _explain(error)]
            return None


@frozen
class _Label:
    """How a table is named in complaints: by its name where it has one."""

    noun: str
    key: str

    def of(self, table: object, index: int) -> str:
        name = table.get(self.key) if isinstance(table, Mapping) else None
        named = isinstance(name, str) and name
        return f"{self.noun} {name}" if named else f"{self.noun} number {index + 1}"


def _duplicates(noun: str, key: str, names: list[str]) -> Iterator[str]:
    """Complain of names that differ in letter case at most: nobody could tell them apart."""
    seen: dict[str, str] = {}
    for name in names:
        first = seen.setdefault(name.lower(), name)
        if first is not name:
            yield f"{noun} {name}: {key}: another {noun} is called {first}"


# ---- from TOML to tables ---------------------------------------------------------------------


def _explain(error: ClassValidationError) -> Iterator[str]:
    with_notes, without_notes = error.group_exceptions()
    for exception, note in with_notes:
        if isinstance(exception, BaseValidationError):
            yield from (f"{note.name}: {inner}" for inner in _explain_nested(exception))
        else:
            yield f"{note.name}: {'missing' if isinstance(exception, KeyError) else exception}"
    for exception in without_notes:
        if isinstance(exception, ForbiddenExtraKeysError):
            yield from (f"{key}: unknown key" for key in sorted(exception.extra_fields))
        else:
            yield str(exception)


def _explain_nested(error: BaseValidationError) -> Iterator[str]:
    """Explain what is wrong inside a list of tables within a table."""
    for exception in error.exceptions:
        if isinstance(exception, ClassValidationError):
            yield from _explain(exception)
        elif isinstance(exception, BaseValidationError):
            yield from _explain_nested(exception)
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


def _structure_amount(value: object, kind: object) -> int:
    return parse_decimal(_structure_str(value, kind), 6)


def _structure_enum(value: object, kind: type[Enum]) -> Enum:
    for member in kind:
        if member.value == value:
            return member
    choices = " or ".join(f'"{member.value}"' for member in kind)
    raise ValueError(f"must be {choices}, not {value!r}")


def _make_converter() -> Converter:
    converter = Converter(forbid_extra_keys=True)
    converter.register_structure_hook(int, _structure_int)
    converter.register_structure_hook(str, _structure_str)
    converter.register_structure_hook(PriceE8, _structure_price)
    converter.register_structure_hook(MicroUsd, _structure_amount)
    converter.register_structure_hook(Enum, _structure_enum)
    return converter


_CONVERTER: Final = _make_converter()
