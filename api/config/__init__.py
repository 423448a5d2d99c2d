"""The settings file of an exchange: its markets, margins, fees, prices and limits.

The file is TOML; ``markets.toml`` beside this is the default one and explains every field.
``tables`` says what a table may hold, ``read`` makes them of a file.
"""

from api.config.read import (
    CONFIG_BYTES_MAX,
    ConfigError,
    load_config,
    load_listed,
    parse_config,
    parse_listed,
)
from api.config.tables import (
    ExchangeConfig,
    Fees,
    Limits,
    ListedTables,
    MarketConfig,
    OracleSource,
    PairConfig,
    Prices,
)

__all__ = [
    "CONFIG_BYTES_MAX",
    "ConfigError",
    "ExchangeConfig",
    "Fees",
    "Limits",
    "ListedTables",
    "MarketConfig",
    "OracleSource",
    "PairConfig",
    "Prices",
    "load_config",
    "load_listed",
    "parse_config",
    "parse_listed",
]
