"""Signatures: who signed an action, and how our own programs sign theirs.

There are two families. An **L1 action** is packed as MessagePack in its canonical key order and
hashed together with nonce, vault and expiry; the hash is the ``connectionId`` of a small typed
struct, the phantom agent, whose ``source`` names the network. A **user-signed action** is typed
data that wallets can show: a struct with readable members. Both end in a digest, and the signer is
recovered from digest and signature. Recovery of a wrong digest does not fail: it gives an address
that nobody holds. Source: Hyperliquid API documentation, signing; the Python SDK's signing code.

Every ``s`` is accepted, high or low. A third party can turn a signature into its twin (n - s, the
other v), but the twin has the same signer and the same nonce, and a signer's nonce works once; so
it replays nothing. Signatures must therefore never serve as identity of an action.

Verifier and signer share every function but the last, so that a disagreement between them cannot
exist.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any, Final

import coincurve
import msgspec
from attrs import field, frozen

from api.eip712 import (
    StructType,
    address_bytes,
    domain_separator,
    keccak256,
    typed_digest,
)
from model.ids import Address

L1_CHAIN_ID: Final = 1337
SIGNATURE_CHAIN_ID: Final = "0x66eee"
"""Under which chain id our own programs sign user-signed actions. Verification takes any."""

_V_BASE: Final = 27
_pack = msgspec.msgpack.Encoder().encode


class UnrecoverableSignatureError(ValueError):
    """There is no signer: r, s or v is out of range, or r is not on the curve."""


class Chain(Enum):
    """Which network signatures must be meant for: the phantom agent's source and the spelled name.

    Signatures for this exchange are valid on the public network of the same name, and the reverse.
    A gateway takes those of exactly one network, and that is the testnet unless its operator says
    otherwise.
    """

    MAINNET = ("a", "Mainnet")
    TESTNET = ("b", "Testnet")

    def __init__(self, source: str, spelled: str) -> None:
        self.source = source
        self.spelled = spelled
        self.source_hash = keccak256(source.encode())


@frozen
class Signature:
    """An ECDSA signature over secp256k1.

    ``compact`` is r ‖ s, 64 bytes, out of range or not; ``v`` is 27 or 28 in a good one.
    """

    compact: bytes
    v: int

    @classmethod
    def of_hex(cls, r: str, s: str, v: int) -> Signature:
        """Read r and s with ``0x`` and up to 64 digits each; many clients leave out leading zeros.

        Raises:
            ValueError: r or s is not such a text.
        """
        # Going by way of an integer would also take blanks, signs and underscores.
        r_digits, s_digits = r.removeprefix("0x").zfill(64), s.removeprefix("0x").zfill(64)
        compact = bytes.fromhex(r_digits) + bytes.fromhex(s_digits)
        if not len(r_digits) == len(s_digits) == len(compact) == 64:
            raise ValueError("r and s are hex numbers of at most 32 bytes")
        return cls(compact, v)

    def to_wire(self) -> dict[str, str | int]:
        """Return the signature as requests carry it, r and s with all 64 digits."""
        return {
            "r": "0x" + self.compact[:32].hex(),
            "s": "0x" + self.compact[32:].hex(),
            "v": self.v,
        }


@frozen
class SigningKey:
    """A private key and the address that its signatures recover to."""

    _secret: coincurve.PrivateKey = field(repr=False)
    address: Address

    @classmethod
    def of_hex(cls, text: str) -> SigningKey:
        """Read a key of 32 bytes in hex, with or without ``0x``.

        Raises:
            ValueError: the text is not a valid key.
        """
        secret = coincurve.PrivateKey(bytes.fromhex(text.removeprefix("0x")))
        return cls(secret, _address_of(secret.public_key))

    def sign(self, digest: bytes) -> Signature:
        """Sign 32 bytes, deterministically (RFC 6979) and with low s."""
        signed = self._secret.sign_recoverable(digest, hasher=None)
        return Signature(signed[:64], signed[64] + _V_BASE)


def _address_of(key: coincurve.PublicKey) -> Address:
    return Address("0x" + keccak256(key.format(compressed=False)[1:])[12:].hex())


def recover_signer(digest: bytes, signature: Signature) -> Address:
    """Return the address whose key signed the 32 bytes of ``digest``.

    If the signature was made of another digest, the address is that of no one.

    Raises:
        UnrecoverableSignatureError: no key can have made the signature.
    """
    recovery_id = signature.v - _V_BASE
    if recovery_id not in {0, 1}:
        raise UnrecoverableSignatureError(f"v is 27 or 28, not {signature.v}")
    serialized = signature.compact + (b"\x01" if recovery_id else b"\x00")
    try:
        key = coincurve.PublicKey.from_signature_and_message(serialized, digest, hasher=None)
    except ValueError as error:
        raise UnrecoverableSignatureError("r and s recover to no key") from error
    return _address_of(key)


# ---- L1 actions ------------------------------------------------------------------------------

_AGENT: Final = StructType("Agent", (("source", "string"), ("connectionId", "bytes32")))
_L1_DOMAIN: Final = domain_separator("Exchange", L1_CHAIN_ID)


def l1_action_hash(
    action: object, nonce: int, *, vault: str | None = None, expires_after: int | None = None
) -> bytes:
    """Return the hash of an L1 action, with its nonce, vault and expiry.

    ``action`` is a mapping or a msgspec struct, its keys and texts in canonical form. Integers are
    at most 64 bits; ``nonce`` and ``expires_after`` are unsigned.
    """
    parts = [
        _pack(action),
        nonce.to_bytes(8, "big"),
        b"\x00" if vault is None else b"\x01" + address_bytes(vault),
    ]
    if expires_after is not None:
        parts.append(b"\x00" + expires_after.to_bytes(8, "big"))
    return keccak256(b"".join(parts))


def l1_digest(action_hash: bytes, chain: Chain) -> bytes:
    """Return what is signed for an L1 action: the digest of the phantom agent on ``chain``."""
    struct_hash = keccak256(_AGENT.type_hash + chain.source_hash + action_hash)
    return typed_digest(_L1_DOMAIN, struct_hash)


def sign_l1_action(
    key: SigningKey,
    action: object,
    nonce: int,
    *,
    vault: str | None = None,
    expires_after: int | None = None,
    chain: Chain = Chain.TESTNET,
) -> Signature:
    """Sign an L1 action; arguments as for l1_action_hash."""
    action_hash = l1_action_hash(action, nonce, vault=vault, expires_after=expires_after)
    return key.sign(l1_digest(action_hash, chain))


# ---- user-signed actions ---------------------------------------------------------------------


def _wallet_type(name: str, *members: str) -> StructType:
    """Read members written ``type name``; all these types begin with the network's name."""
    split = (member.split(" ") for member in ("string hyperliquidChain", *members))
    return StructType(
        f"HyperliquidTransaction:{name}",
        tuple((label, kind) for kind, label in split),  # type: ignore[misc]
    )


USER_SIGNED: Final[dict[str, StructType]] = {
    "usdSend": _wallet_type("UsdSend", "string destination", "string amount", "uint64 time"),
    "spotSend": _wallet_type(
        "SpotSend", "string destination", "string token", "string amount", "uint64 time"
    ),
    "withdraw3": _wallet_type("Withdraw", "string destination", "string amount", "uint64 time"),
    "usdClassTransfer": _wallet_type(
        "UsdClassTransfer", "string amount", "bool toPerp", "uint64 nonce"
    ),
    "sendAsset": _wallet_type(
        "SendAsset",
        "string destination",
        "string sourceDex",
        "string destinationDex",
        "string token",
        "string amount",
        "string fromSubAccount",
        "uint64 nonce",
    ),
    "approveAgent": _wallet_type(
        "ApproveAgent", "address agentAddress", "string agentName", "uint64 nonce"
    ),
    "approveBuilderFee": _wallet_type(
        "ApproveBuilderFee", "string maxFeeRate", "address builder", "uint64 nonce"
    ),
    "userDexAbstraction": _wallet_type(
        "UserDexAbstraction", "address user", "bool enabled", "uint64 nonce"
    ),
    "userSetAbstraction": _wallet_type(
        "UserSetAbstraction", "address user", "string abstraction", "uint64 nonce"
    ),
    "tokenDelegate": _wallet_type(
        "TokenDelegate", "address validator", "uint64 wei", "bool isUndelegate", "uint64 nonce"
    ),
    "convertToMultiSigUser": _wallet_type(
        "ConvertToMultiSigUser", "string signers", "uint64 nonce"
    ),
}
"""What wallets sign, by action type. Members are hashed as received: of a text, letter case and
zeros count."""


def user_signed_digest(action: Mapping[str, Any]) -> bytes:
    """Return what is signed for a user-signed action, given with its wire names.

    ``type`` chooses the struct and ``signatureChainId`` (hex text) the domain; members are taken as
    they are, a text that is missing as empty.

    Raises:
        KeyError: the type is not a user-signed one.
    """
    struct_type = USER_SIGNED[action["type"]]
    chain_id = int(action["signatureChainId"], 16)
    separator = domain_separator("HyperliquidSignTransaction", chain_id)
    return typed_digest(separator, struct_type.struct_hash(action))


def sign_user_action(
    key: SigningKey, action: Mapping[str, Any], *, chain: Chain = Chain.TESTNET
) -> tuple[dict[str, Any], Signature]:
    """Sign a user-signed action; return it completed by its two chain members, and the signature.

    ``signatureChainId`` is kept where the action names one.
    """
    complete = {"signatureChainId": SIGNATURE_CHAIN_ID, **action, "hyperliquidChain": chain.spelled}
    return complete, key.sign(user_signed_digest(complete))
