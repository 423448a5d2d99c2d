"""Tokens on the wire: their ids, and what a client means by a token's text."""

from __future__ import annotations

from hashlib import blake2b
from typing import Final

from model.ids import USDC
from model.instruments import Token

USDC_ID: Final = "0x6d1e7cde53ba9467b783cb7c530ce054"
"""Source: Hyperliquid API documentation, spot metadata."""

TOKEN_ID_BYTES: Final = 16


def token_id(token: Token) -> str:
    """Return a token's id on the wire; those of other tokens than USDC follow from their names."""
    if token.token == USDC:
        return USDC_ID
    return "0x" + blake2b(token.name.encode(), digest_size=TOKEN_ID_BYTES).hexdigest()
