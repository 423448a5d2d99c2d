"""Order entry, the pure half: from the bytes of a signed request to a command.

``parse_request`` reads a body and decides nothing about who sent it; ``to_command`` recovers the
signer. Between the two a caller may count, limit or drop the request by its kind at the price of
parsing alone, since recovering a signer is what costs. The way back, from events to the answer, is
``api.answers``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from attrs import frozen
from msgspec import structs

from api.exchange.canonical import USDC_ONLY, read_action
from api.exchange.errors import (
    MalformedBodyError,
    RequestRefusedError,
    not_a_request,
    not_json,
    too_long,
)
from api.exchange.forms import UserSignedAction
from api.exchange.money_canonical import money_refusal
from api.exchange.money_wire import SpotSendAction, UsdSendAction, WithdrawAction
from api.exchange.timed_canonical import timed_refusal
from api.exchange.values import UnreadableValueError, u64
from api.exchange.wire import (
    BODY_BYTES_MAX,
    UNSUPPORTED_TYPES,
    Action,
    AnyEnvelope,
    Envelope,
    L1Action,
    WalletAction,
)
from api.signing import (
    SIGNATURE_CHAIN_ID,
    USER_SIGNED,
    Chain,
    Signature,
    SigningKey,
    UnrecoverableSignatureError,
    l1_action_hash,
    l1_digest,
    recover_signer,
    user_signed_digest,
)
from model.commands import ClientCommand
from model.ids import Address
from model.units import MalformedDecimalError
from model.universe import Universe

__all__ = [
    "BODY_BYTES_MAX",
    "MalformedBodyError",
    "RequestRefusedError",
    "SignedRequest",
    "parse_request",
    "sign_request",
    "to_command",
]

NONCE_MISMATCH: Final = "Nonce mismatch."
OTHER_CHAIN: Final = "Mainnet and testnet require different signature."
UNRECOVERABLE: Final = "Unable to recover signer."
NOT_SIGNED_FOR: Final = "{0} is not covered by the signature of {1}; leave it out."
NOT_OFFERED: Final = "Action {0} is not offered on this exchange."

_envelope_decoder = msgspec.json.Decoder(Envelope)
_any_envelope_decoder = msgspec.json.Decoder(AnyEnvelope)


@frozen
class SignedRequest:
    """A well-formed request whose signature nobody has looked at yet.

    ``kind`` is the action's type, one of a fixed set. ``action`` is its canonical form, and
    ``draft`` the command it asks for, its signer still empty; both are ``None`` where the action is
    not offered. ``refusal`` is what the sender will be told whoever signed.
    """

    kind: str
    nonce: int
    signature: Signature
    vault: Address | None
    expires_after: int | None
    action: L1Action | WalletAction | None = None
    draft: ClientCommand | None = None
    refusal: str | None = None


def parse_request(body: bytes, universe: Universe = USDC_ONLY) -> SignedRequest:
    """Read the body of a POST to ``/exchange``, or the payload of a WebSocket action.

    ``universe`` has the tokens that it may name.

    Raises:
        MalformedBodyError: it is too long (413), not JSON (400), or not a signed request (422).
    """
    if len(body) > BODY_BYTES_MAX:
        raise too_long(BODY_BYTES_MAX)
    try:
        return _read_envelope(_envelope_decoder.decode(body), universe)
    except msgspec.ValidationError as error:
        return _read_unsupported(body, error)
    except (MalformedDecimalError, UnreadableValueError) as error:
        raise not_a_request(error) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise not_json(error) from error


def to_command(request: SignedRequest, chain: Chain = Chain.TESTNET) -> ClientCommand:
    """Recover who signed a request for ``chain`` and return the command in their name.

    Whether the exchange knows the signer is the exchange's business. A request that was signed for
    another network or in another form gives a command of a signer whom nobody knows.

    Raises:
        RequestRefusedError: the request is refused already here, by whomever it was signed.
    """
    if request.refusal is not None:
        raise RequestRefusedError(request.refusal)
    assert request.action is not None
    assert request.draft is not None
    try:
        signer = recover_signer(_digest(request, request.action, chain), request.signature)
    except UnrecoverableSignatureError as error:
        raise RequestRefusedError(UNRECOVERABLE) from error
    return structs.replace(request.draft, signer=signer)


def sign_request(
    key: SigningKey,
    action: Mapping[str, Any],
    nonce: int,
    *,
    vault: Address | None = None,
    expires_after: int | None = None,
    chain: Chain = Chain.TESTNET,
) -> bytes:
    """Return the body of a request for an action given with its wire names, signed by ``key``.

    Order of keys, case of hex and zeros of decimals may be any: the canonical form is signed and
    sent. A user-signed action need not bring its chain members and its nonce.

    Raises:
        msgspec.ValidationError, MalformedDecimalError, UnreadableValueError: it is no possible
        action.
    """
    if action["type"] in USER_SIGNED:
        action = _complete(action, nonce, chain)
    read, _ = read_action(msgspec.convert(action, Action), nonce, expires_after, vault)
    unsigned = Signature(bytes(64), 0)
    request = SignedRequest("", nonce, unsigned, vault, expires_after, read)
    signature = key.sign(_digest(request, read, chain))
    body: dict[str, object] = {"action": read, "nonce": nonce, "signature": signature.to_wire()}
    if vault is not None:
        body["vaultAddress"] = vault
    if expires_after is not None:
        body["expiresAfter"] = expires_after
    return msgspec.json.encode(body)


# ---- reading ---------------------------------------------------------------------------------


def _read_envelope(envelope: Envelope, universe: Universe) -> SignedRequest:
    wire = envelope.signature
    vault = _vault(envelope.vault_address)
    nonce, expires_after = u64(envelope.nonce), envelope.expires_after
    if expires_after is not None:
        u64(expires_after)
    action, draft = read_action(envelope.action, nonce, expires_after, vault, universe)
    refusal = _refusal(envelope) if isinstance(action, UserSignedAction) else None
    return SignedRequest(
        kind=action.__struct_config__.tag,  # type: ignore[arg-type]
        nonce=nonce,
        signature=Signature.of_hex(wire.r, wire.s, wire.v),
        vault=vault,
        expires_after=expires_after,
        action=action,
        draft=draft,
        refusal=refusal or money_refusal(action, draft) or timed_refusal(action),
    )


def _read_unsupported(body: bytes, error: msgspec.ValidationError) -> SignedRequest:
    """Read a body that is no supported request.

    Raises:
        MalformedBodyError: it is no request at all; tells what was wrong with it as a supported
        one.
    """
    try:
        envelope = _any_envelope_decoder.decode(body)
        kind = envelope.action.type
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise not_a_request(error) from error
    if kind not in UNSUPPORTED_TYPES:
        raise not_a_request(error) from error
    wire = envelope.signature
    return SignedRequest(
        kind=kind,
        nonce=envelope.nonce,
        signature=Signature.of_hex(wire.r, wire.s, wire.v),
        vault=_vault(envelope.vault_address),
        expires_after=envelope.expires_after,
        refusal=NOT_OFFERED.format(kind),
    )


def _vault(text: str | None) -> Address | None:
    """Some clients leave out the ``0x``."""
    return None if text is None else Address("0x" + text.removeprefix("0x").lower())


def _refusal(envelope: Envelope) -> str | None:
    """Say what is wrong with a user-signed request.

    Its signature says nothing of vault and expiry. Who sends them expects something that will not
    happen.
    """
    action = envelope.action
    assert isinstance(action, UserSignedAction)
    kind = action.__struct_config__.tag
    if envelope.expires_after is not None:
        return NOT_SIGNED_FOR.format("expiresAfter", kind)
    if envelope.vault_address is not None:
        return NOT_SIGNED_FOR.format("vaultAddress", kind)
    match action:
        case UsdSendAction(time=signed) | SpotSendAction(time=signed) | WithdrawAction(time=signed):
            pass
        case _:
            signed = action.nonce
    return NONCE_MISMATCH if signed != envelope.nonce else None


# ---- signing ---------------------------------------------------------------------------------


def _digest(request: SignedRequest, action: Action, chain: Chain) -> bytes:
    """Return what must have been signed.

    Raises:
        RequestRefusedError: the action says that it was signed for another network.
    """
    if isinstance(action, UserSignedAction):
        if action.hyperliquid_chain != chain.spelled:
            raise RequestRefusedError(OTHER_CHAIN)
        return user_signed_digest(msgspec.to_builtins(action))
    action_hash = l1_action_hash(
        action, request.nonce, vault=request.vault, expires_after=request.expires_after
    )
    return l1_digest(action_hash, chain)


def _complete(action: Mapping[str, Any], nonce: int, chain: Chain) -> dict[str, Any]:
    """Add what wallets add: the network, the chain they sign under, and the nonce."""
    members = [name for name, _ in USER_SIGNED[action["type"]].members]
    return {
        "signatureChainId": SIGNATURE_CHAIN_ID,
        **action,
        "hyperliquidChain": chain.spelled,
        "time" if "time" in members else "nonce": nonce,
    }
