"""Hashing of typed structured data, as far as wallets and this exchange need it.

A digest is ``keccak256(19 01 ‖ domain separator ‖ struct hash)``; a struct hash is ``keccak256(type
hash ‖ members)`` with each member as 32 bytes. Only flat structs are known here, and only the
member types of ``MemberType``. Source: EIP-712, Ethereum typed structured data hashing and signing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Final, Literal, TypeAlias

from attrs import field, frozen
from sha3 import keccak_256

MemberType: TypeAlias = Literal["string", "address", "bool", "uint64", "uint256", "bytes32"]

DOMAINS_KEPT_MAX: Final = 256
"""Domain separators kept. Wallets sign under the id of the chain they are on; a few dozen chains
exist in practice, and whoever makes up others only costs himself the hashing."""

UINT256_MAX: Final = 2**256 - 1


def keccak256(data: bytes) -> bytes:
    """Return the 32 bytes of Keccak-256 (the original padding, not SHA3-256)."""
    digest: bytes = keccak_256(data).digest()
    return digest


def _word(value: int) -> bytes:
    return value.to_bytes(32, "big")


_ENCODERS: Final[dict[str, Callable[[Any], bytes]]] = {
    "string": lambda text: keccak256(text.encode()),
    "address": lambda text: bytes(12) + address_bytes(text),
    "bool": lambda flag: _word(int(flag)),
    "uint64": lambda number: bytes(24) + number.to_bytes(8, "big"),
    "uint256": _word,
    "bytes32": lambda data: data,
}


def address_bytes(text: str) -> bytes:
    """Return the 20 bytes of an address: 40 hex digits of any letter case, ``0x`` optional.

    Raises:
        ValueError: the text is not such an address.
    """
    digits = text.removeprefix("0x")
    data = bytes.fromhex(digits)
    if not len(digits) == 2 * len(data) == 40:  # blanks between bytes are fine with fromhex
        raise ValueError("an address has 40 hex digits")
    return data


@frozen
class StructType:
    """A flat struct: its name and its members in signing order.

    Members that a value leaves out are taken as the empty string, which only members of type
    ``string`` may be.
    """

    name: str
    members: tuple[tuple[str, MemberType], ...]
    type_hash: bytes = field(init=False, repr=False)

    @type_hash.default
    def _hash_of_type(self) -> bytes:
        members = ",".join(f"{kind} {name}" for name, kind in self.members)
        return keccak256(f"{self.name}({members})".encode())

    def struct_hash(self, values: Mapping[str, Any]) -> bytes:
        """Return the hash of one value of this type.

        Raises:
            AttributeError, TypeError, ValueError, OverflowError: a member is not of its type.
                Values from outside must have been checked before.
        """
        words = [_ENCODERS[kind](values.get(name, "")) for name, kind in self.members]
        return keccak256(self.type_hash + b"".join(words))


_DOMAIN: Final = StructType(
    "EIP712Domain",
    (
        ("name", "string"),
        ("version", "string"),
        ("chainId", "uint256"),
        ("verifyingContract", "address"),
    ),
)


@lru_cache(maxsize=DOMAINS_KEPT_MAX)
def domain_separator(name: str, chain_id: int) -> bytes:
    """Return the separator of version 1 of a domain whose contract is the zero address."""
    return _DOMAIN.struct_hash(
        {"name": name, "version": "1", "chainId": chain_id, "verifyingContract": "0x" + "00" * 20}
    )


def typed_digest(separator: bytes, struct_hash: bytes) -> bytes:
    """Return the 32 bytes that a wallet signs."""
    return keccak256(b"\x19\x01" + separator + struct_hash)
