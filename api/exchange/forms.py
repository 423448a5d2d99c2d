"""What all wire forms of signed requests are made of: kinds of texts and numbers, and two bases.

A text's pattern is all that is asked of it here; what it means is decided where it is read.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal, TypeAlias

from msgspec import Meta, Struct

from model.units import DECIMAL_TEXT_LENGTH_MAX

TEXT_LENGTH_MAX: Final = 128
"""Names, codes and fee rates; each has a tighter rule of its own where it means anything."""

U64_MAX: Final = 2**64 - 1

# msgspec states bounds within 63 bits only; U64 has its upper bound checked where it is used.
U64: TypeAlias = Annotated[int, Meta(ge=0)]
I64: TypeAlias = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
U32: TypeAlias = Annotated[int, Meta(ge=0, le=2**32 - 1)]
DecimalText: TypeAlias = Annotated[str, Meta(max_length=DECIMAL_TEXT_LENGTH_MAX)]
ShortText: TypeAlias = Annotated[str, Meta(max_length=TEXT_LENGTH_MAX)]
AddressText: TypeAlias = Annotated[str, Meta(pattern=r"^0x[0-9a-fA-F]{40}\Z")]
VaultText: TypeAlias = Annotated[str, Meta(pattern=r"^(0x)?[0-9a-fA-F]{40}\Z")]
CloidText: TypeAlias = Annotated[str, Meta(pattern=r"^0x[0-9a-fA-F]{32}\Z")]
ChainIdText: TypeAlias = Annotated[str, Meta(pattern=r"^0x[0-9a-fA-F]{1,64}\Z")]
ClassAmountText: TypeAlias = Annotated[
    str, Meta(pattern=r"^[0-9.]{1,40}( subaccount:(0x)?[0-9a-fA-F]{40})?\Z")
]
"""An amount, and the sub-account that it is moved for: the signature covers both as one text."""
SubAccountText: TypeAlias = Annotated[str, Meta(pattern=r"^(0x[0-9a-fA-F]{40})?\Z")]
FeeRateText: TypeAlias = Annotated[str, Meta(pattern=r"^[0-9]{1,3}(\.[0-9]{1,8})?%\Z")]
ScalarText: TypeAlias = Annotated[str, Meta(pattern=r"^0x[0-9a-fA-F]{1,64}\Z")]


class Strict(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A wire form that takes no other fields, and leaves out those that are absent."""


class UserSignedAction(Strict, frozen=True, rename="camel"):
    """What wallets add to every action of theirs."""

    hyperliquid_chain: Literal["Mainnet", "Testnet"]
    signature_chain_id: ChainIdText
