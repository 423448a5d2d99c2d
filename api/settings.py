"""How one gateway is told to run."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from attrs import Factory, field, frozen, validators

from actors.trace_settings import TraceSettings
from model.transfers import CASH_MAX
from model.units import MalformedDecimalError, parse_decimal

DEFAULT_BIND: Final = "127.0.0.1:8000"
DEFAULT_DATA: Final = Path("zaraba-data")
DEFAULT_FAUCET_USD: Final = "10000"
FAUCET_CREDITS_MAX: Final = 1_000
"""Newcomers that a faucet serves. A wrongly signed action looks like a new address, so it must end
somewhere.
"""
USD_DECIMALS: Final = 6
DEMO_SEED: Final = 20_000
"""Seed of the demo that everybody sees."""


class SettingsError(ValueError):
    """A setting has a value that it cannot have; the text names both."""


@frozen
class Settings:
    """Settings of ``zaraba serve``; amounts in micro-USD.

    Args:
        host: interface to listen on.
        port: port to listen on; 0 takes a free one.
        data: data directory, made if absent.
        demo: run the oracle's random walk and the demo bots.
        faucet_usd: credit for a newcomer; 0 for none.
        faucet_credits_max: newcomers that are credited at most.
        config: markets and fees of a new exchange; ``None`` for the built-in ones.
        tracing: where the spans of traced requests go.
        seed: of the demo's oracle and bots.
        node_logs: where to write what a real node would; ``None`` for nowhere.
    """

    host: str = "127.0.0.1"
    port: int = field(default=8000, validator=validators.in_(range(65536)))
    data: Path = DEFAULT_DATA
    demo: bool = False
    faucet_usd: int = field(default=0, validator=[validators.ge(0), validators.le(CASH_MAX)])
    faucet_credits_max: int = field(default=FAUCET_CREDITS_MAX, validator=validators.ge(0))
    config: Path | None = None
    tracing: TraceSettings = Factory(TraceSettings)
    seed: int = DEMO_SEED
    node_logs: Path | None = None

    @property
    def bind(self) -> str:
        """The address as servers take it."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def read_bind(text: str) -> tuple[str, int]:
    """Read ``HOST:PORT``, ``[IPv6]:PORT``, ``HOST``, or ``:PORT`` for all interfaces.

    Raises:
        SettingsError: it is none of these.
    """
    host, colon, port = text.rpartition(":")
    if not colon or (":" in host and not host.startswith("[")):  # no port: a name or a bare IPv6
        host, port = text, DEFAULT_BIND.rpartition(":")[2]
    if not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise SettingsError(f"not an address to listen on: {text!r} (expected HOST:PORT)")
    return host.strip("[]") or "0.0.0.0", int(port)


def read_usd(text: str) -> int:
    """Read an amount of USD as micro-USD: positive, and no more than an account may hold.

    Raises:
        SettingsError: it is not one.
    """
    try:
        amount = parse_decimal(text, USD_DECIMALS)
    except MalformedDecimalError:
        amount = 0
    if not 0 < amount <= CASH_MAX:
        raise SettingsError(f"not an amount of USD: {text!r} (expected for example 10000 or 12.5)")
    return amount


def read_faucet(text: str | None, *, demo: bool) -> int:
    """Read what newcomers are given, as micro-USD; ``None`` is the default, "0" is nothing.

    Raises:
        SettingsError: it is not an amount.
    """
    if text is None:
        text = DEFAULT_FAUCET_USD if demo else "0"
    return 0 if text == "0" else read_usd(text)


def read_rate(text: str) -> float:
    """Read a part of all: a number from 0 to 1.

    Raises:
        SettingsError: it is not one.
    """
    try:
        rate = float(text)
    except ValueError:
        rate = -1.0
    if not 0 <= rate <= 1:
        raise SettingsError(f"not a part from 0 to 1: {text!r} (expected for example 0.01)")
    return rate


def settings_from_environment(environment: Mapping[str, str] = os.environ) -> Settings:
    """Read the settings of a gateway that somebody else's server hosts.

    ``ZARABA_DATA``, ``ZARABA_DEMO`` (1 or 0), ``ZARABA_FAUCET`` (USD), ``ZARABA_CONFIG``,
    ``ZARABA_TRACES``, ``ZARABA_TRACE_CONSOLE`` (1 or 0), ``ZARABA_OTLP`` and ``ZARABA_TRACE_RATE``
    mean what the options of ``zaraba serve`` of the same names mean.

    Raises:
        SettingsError: one has a value that it cannot have.
    """
    demo = environment.get("ZARABA_DEMO", "0")
    if demo not in ("0", "1"):
        raise SettingsError(f"ZARABA_DEMO must be 0 or 1, not {demo!r}")
    console = environment.get("ZARABA_TRACE_CONSOLE", "0")
    if console not in ("0", "1"):
        raise SettingsError(f"ZARABA_TRACE_CONSOLE must be 0 or 1, not {console!r}")
    config, traces = environment.get("ZARABA_CONFIG"), environment.get("ZARABA_TRACES")
    return Settings(
        data=Path(environment.get("ZARABA_DATA") or DEFAULT_DATA),
        demo=demo == "1",
        faucet_usd=read_faucet(environment.get("ZARABA_FAUCET") or None, demo=demo == "1"),
        config=Path(config) if config else None,
        tracing=TraceSettings(
            file=Path(traces) if traces else None,
            console=console == "1",
            otlp=environment.get("ZARABA_OTLP") or None,
            rate=read_rate(environment.get("ZARABA_TRACE_RATE") or "0"),
        ),
    )
