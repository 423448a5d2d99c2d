"""Names of the things that the exchange counts and addresses."""

from __future__ import annotations

from typing import Final, NewType

Address = NewType("Address", str)
"""An account or signer: ``0x`` and 40 lower-case hex digits."""

BACKSTOP: Final = Address("0x" + "b".rjust(40, "0"))
"""The account that takes over positions which the book could not close.

An ordinary account that nobody has the key of.
"""

Cloid = NewType("Cloid", str)
"""An order id chosen by the client: ``0x`` and 32 lower-case hex digits."""

AssetId = NewType("AssetId", int)
"""Number of a market. Permanent: entries are never reordered or removed.

Perpetuals count from 0, spot pairs from SPOT_ASSETS_FROM.
"""

SPOT_ASSETS_FROM: Final = AssetId(10_000)
"""Asset id of the first spot pair (Hyperliquid API documentation, asset ids)."""

TokenId = NewType("TokenId", int)
"""Number of a token that spot balances are held in. Permanent."""

USDC: Final = TokenId(0)
"""The token that spot pairs are quoted in. It is there from the start."""

OrderId = NewType("OrderId", int)
"""Given by the exchange, increasing from 1, never reused."""

TradeId = NewType("TradeId", int)
"""Shared by both sides of a trade, increasing from 1, never reused."""

WIRE_INTEGER_MAX: Final = 2**53 - 1
"""The largest integer that every client language keeps exactly."""
