"""Signing: the published vectors, and agreement with the Python SDK."""

from __future__ import annotations

from typing import Any, Final

import msgspec
import pytest

from api.eip712 import domain_separator, keccak256, typed_digest
from api.signing import (
    USER_SIGNED,
    Chain,
    Signature,
    SigningKey,
    UnrecoverableSignatureError,
    l1_action_hash,
    l1_digest,
    recover_signer,
    sign_l1_action,
    sign_user_action,
    user_signed_digest,
)

KEY: Final = SigningKey.of_hex("0x0123456789012345678901234567890123456789012345678901234567890123")
SENDER_VECTORS: Final = "0x5e9ee1089755c3435139848e47e6635505d5a13a"


def order_action(
    *, asset: int, price: str, size: str, kind: dict[str, Any], cloid: str | None = None
) -> dict[str, Any]:
    order: dict[str, Any] = {"a": asset, "b": True, "p": price, "s": size, "r": False, "t": kind}
    if cloid is not None:
        order["c"] = cloid
    return {"type": "order", "orders": [order], "grouping": "na"}


GTC: Final = {"limit": {"tif": "Gtc"}}
IOC_4: Final = order_action(asset=4, price="1670.1", size="0.0147", kind={"limit": {"tif": "Ioc"}})
GTC_1: Final = order_action(asset=1, price="100", size="100", kind=GTC)
CLOID_1: Final = order_action(
    asset=1, price="100", size="100", kind=GTC, cloid="0x00000000000000000000000000000001"
)
TRIGGER_1: Final = order_action(
    asset=1,
    price="100",
    size="100",
    kind={"trigger": {"isMarket": True, "triggerPx": "103", "tpsl": "sl"}},
)
DUMMY: Final = {"type": "dummy", "num": 100000000000}
DUMMY_VAULT: Final = "0x1719884eb866cb12b2287399b15f7db5e7d775ea"
GTC_0: Final = order_action(asset=0, price="30000", size="0.1", kind=GTC)
VAULT: Final = "0x1234567890123456789012345678901234567890"


def test_key_has_the_published_address() -> None:
    """The address of a key is lower-case hex of the hash of its public point."""
    assert KEY.address == "0x14791697260e4c9a71f18484c9f997b308e59325"
    assert "0123" not in repr(KEY)


@pytest.mark.parametrize(
    ("name", "chain_id", "expected"),
    [
        ("Exchange", 1337, "d79297fcdf2ffcd4ae223d01edaa2ba214ff8f401d7c9300d995d17c82aa4040"),
        (
            "HyperliquidSignTransaction",
            0x66EEE,
            "feb1393ca4412a4ca577bd51d04f0a77033514c602f4d0a11490fb95f7428df6",
        ),
        (
            "HyperliquidSignTransaction",
            1,
            "db17d1ad595c034a414294c8a640f420ba18e2b7488231f5b97d02780d8e8648",
        ),
    ],
)
def test_domain_separators(name: str, chain_id: int, expected: str) -> None:
    """A domain separator is that of version 1 with the zero contract."""
    assert domain_separator(name, chain_id).hex() == expected


def test_type_hashes() -> None:
    """The type string of a user-signed action contains the colon of its name."""
    assert (
        USER_SIGNED["usdSend"].type_hash.hex()
        == "c7410964737e2180e258d649f23f74a49460432fecbd94688103ecc63fb66b4c"
    )
    assert (
        USER_SIGNED["approveAgent"].type_hash.hex()
        == "4464abf6148f115d79362d98320081aa2ae8a5c840083cb65820bffc21394378"
    )


def test_packing_of_an_order() -> None:
    """An order packs in canonical key order, byte for byte."""
    assert msgspec.msgpack.encode(IOC_4).hex() == (
        "83a474797065a56f72646572a66f72646572739186a16104a162c3a170a6313637302e31a173a6302e30313437a172c2"
        "a17481a56c696d697481a3746966a3496f63a867726f7570696e67a26e61"
    )


def test_packing_of_a_large_integer() -> None:
    """An integer beyond 32 bits packs as an unsigned 64-bit one, never as a float."""
    packed = msgspec.msgpack.encode(DUMMY).hex()

    assert packed == "82a474797065a564756d6d79a36e756dcf000000174876e800"


@pytest.mark.parametrize(
    ("action", "nonce", "vault", "expires_after", "expected"),
    [
        (
            IOC_4,
            1677777606040,
            None,
            None,
            "0fcbeda5ae3c4950a548021552a4fea2226858c4453571bf3f24ba017eac2908",
        ),
        (GTC_1, 0, None, None, "884f2c32bb6dbdd65f6033e32fb28c0cb6f5b345db0f6471fd3366d85c9252c1"),
        (
            TRIGGER_1,
            0,
            None,
            None,
            "430a86fb9876e901920d931f5bb20c9d011f6389bd179f39a73c09e6219adcad",
        ),
        (DUMMY, 0, None, None, "f528daee6a0bd11407b483cfcd9a48c56884180b70ee86f124053e5fc1bf4d57"),
        (
            DUMMY,
            0,
            DUMMY_VAULT,
            None,
            "de9e09a7a3da45cc694096d4bfdcd89bc1b892d05497c5ecc1f56c335945184c",
        ),
        (
            GTC_0,
            1234567890,
            None,
            None,
            "25367e0dba84351148288c2233cd6130ed6cec5967ded0c0b7334f36f957cc90",
        ),
        (
            GTC_0,
            1234567890,
            VAULT,
            None,
            "214e2ea3270981b6fd18174216691e69f56872663139d396b10ded319cb4bb1e",
        ),
        (
            GTC_0,
            1234567890,
            None,
            1234567890,
            "c30b002ba3775e4c31c43c1dfd3291dfc85c6ae06c6b9f393991de86cad5fac7",
        ),
        (
            GTC_0,
            1234567890,
            VAULT,
            1234567890,
            "2d62412aa0fc57441b5189841d81554a6a9680bf07204e1454983a9ca44f0744",
        ),
    ],
)
def test_action_hashes(
    action: dict[str, Any], nonce: int, vault: str | None, expires_after: int | None, expected: str
) -> None:
    """The hash of an L1 action covers the action, its nonce, its vault and its expiry."""
    digest = l1_action_hash(action, nonce, vault=vault, expires_after=expires_after)

    assert digest.hex() == expected


def test_struct_hash_and_digest_per_network() -> None:
    """The digest of one action differs between the networks in the published way."""
    action_hash = l1_action_hash(GTC_1, 0)

    assert (
        l1_digest(action_hash, Chain.TESTNET).hex()
        == "606be2d25f68768f876dc04a2c3c86ceafd2d6a3c3cbb963454462d6734ebfa6"
    )
    assert (
        l1_digest(action_hash, Chain.MAINNET).hex()
        == "a5cfed1f2d7948de30aecacc7fea3c5e05c1e759020e96239847879b906f801e"
    )


L1_SIGNATURES: Final[list[tuple[str, dict[str, Any], str | None, Chain, str, str, int]]] = [
    (
        "V2",
        GTC_1,
        None,
        Chain.TESTNET,
        "0x82b2ba28e76b3d761093aaded1b1cdad4960b3af30212b343fb2e6cdfa4e3d54",
        "0x6b53878fc99d26047f4d7e8c90eb98955a109f44209163f52d8dc4278cbbd9f5",
        27,
    ),
    (
        "V2 mainnet",
        GTC_1,
        None,
        Chain.MAINNET,
        "0xd65369825a9df5d80099e513cce430311d7d26ddf477f5b3a33d2806b100d78e",
        "0x2b54116ff64054968aa237c20ca9ff68000f977c93289157748a3162b6ea940e",
        28,
    ),
    (
        "V3",
        CLOID_1,
        None,
        Chain.TESTNET,
        "0xeba0664bed2676fc4e5a743bf89e5c7501aa6d870bdb9446e122c9466c5cd16d",
        "0x7f3e74825c9114bc59086f1eebea2928c190fdfbfde144827cb02b85bbe90988",
        28,
    ),
    (
        "V3 mainnet, 63 digits",
        CLOID_1,
        None,
        Chain.MAINNET,
        "0x41ae18e8239a56cacbc5dad94d45d0b747e5da11ad564077fcac71277a946e3",
        "0x3c61f667e747404fe7eea8f90ab0e76cc12ce60270438b2058324681a00116da",
        27,
    ),
    (
        "V4",
        TRIGGER_1,
        None,
        Chain.TESTNET,
        "0x971c554d917c44e0e1b6cc45d8f9404f32172a9d3b3566262347d0302896a2e4",
        "0x206257b104788f80450f8e786c329daa589aa0b32ba96948201ae556d5637eac",
        28,
    ),
    (
        "V5",
        DUMMY,
        None,
        Chain.TESTNET,
        "0x542af61ef1f429707e3c76c5293c80d01f74ef853e34b76efffcb57e574f9510",
        "0x17b8b32f086e8cdede991f1e2c529f5dd5297cbe8128500e00cbaf766204a613",
        28,
    ),
    (
        "V5 mainnet, 63 digits",
        DUMMY,
        None,
        Chain.MAINNET,
        "0x53749d5b30552aeb2fca34b530185976545bb22d0b3ce6f62e31be961a59298",
        "0x755c40ba9bf05223521753995abb2f73ab3229be8ec921f350cb447e384d8ed8",
        27,
    ),
    (
        "V5 vault",
        DUMMY,
        DUMMY_VAULT,
        Chain.TESTNET,
        "0xe281d2fb5c6e25ca01601f878e4d69c965bb598b88fac58e475dd1f5e56c362b",
        "0x7ddad27e9a238d045c035bc606349d075d5c5cd00a6cd1da23ab5c39d4ef0f60",
        27,
    ),
    (
        "V7",
        {"type": "scheduleCancel"},
        None,
        Chain.TESTNET,
        "0xc75bb195c3f6a4e06b7d395acc20bbb224f6d23ccff7c6a26d327304e6efaeed",
        "0x342f8ede109a29f2c0723bd5efb9e9100e3bbb493f8fb5164ee3d385908233df",
        28,
    ),
    (
        "V7 time",
        {"type": "scheduleCancel", "time": 123456789},
        None,
        Chain.TESTNET,
        "0x4e4f2dbd4107c69783e251b7e1057d9f2b9d11cee213441ccfa2be63516dc5bc",
        "0x706c656b23428c8ba356d68db207e11139ede1670481a9e01ae2dfcdb0e1a678",
        27,
    ),
    (
        "V11",
        {"type": "createSubAccount", "name": "example"},
        None,
        Chain.TESTNET,
        "0xa699e3ed5c2b89628c746d3298b5dc1cca604694c2c855da8bb8250ec8014a5b",
        "0x53f1b8153a301c72ecc655b1c315d64e1dcea3ee58921fd7507e35818fcc1584",
        28,
    ),
]


@pytest.mark.parametrize(
    ("action", "vault", "chain", "published"),
    [(*row[1:4], Signature.of_hex(*row[4:])) for row in L1_SIGNATURES],
    ids=[row[0] for row in L1_SIGNATURES],
)
def test_l1_signatures(
    action: dict[str, Any], vault: str | None, chain: Chain, published: Signature
) -> None:
    """A published signature is what we sign, and recovers to its signer with or without padding."""
    signed = sign_l1_action(KEY, action, 0, vault=vault, chain=chain)

    assert signed == published
    digest = l1_digest(l1_action_hash(action, 0, vault=vault), chain)
    assert recover_signer(digest, published) == KEY.address


def test_signature_for_the_other_network_gives_a_stranger() -> None:
    """What was signed for mainnet recovers to an address that nobody holds."""
    signature = sign_l1_action(KEY, GTC_1, 0, chain=Chain.MAINNET)

    signer = recover_signer(l1_digest(l1_action_hash(GTC_1, 0), Chain.TESTNET), signature)
    assert signer == "0xce4b44daa5781a5e52534910fa8c459d1c39fe47"


USER_SIGNATURES: Final = [
    (
        "V8 usdSend",
        {
            "destination": SENDER_VECTORS,
            "amount": "1",
            "time": 1687816341423,
            "type": "usdSend",
        },
        "0x637b37dd731507cdd24f46532ca8ba6eec616952c56218baeff04144e4a77073",
        "0x11a6a24900e6e314136d2592e2f8d502cd89b7c15b198e1bee043c9589f9fad7",
        27,
    ),
    (
        "V8 withdraw3",
        {
            "destination": SENDER_VECTORS,
            "amount": "1",
            "time": 1687816341423,
            "type": "withdraw3",
        },
        "0x8363524c799e90ce9bc41022f7c39b4e9bdba786e5f9c72b20e43e1462c37cf9",
        "0x58b1411a775938b83e29182e8ef74975f9054c8e97ebf5ec2dc8d51bfc893881",
        28,
    ),
    (
        "V9 approveAgent",
        {
            "type": "approveAgent",
            "agentAddress": "0x0000000000000000000000000000000000000001",
            "agentName": "",
            "nonce": 1700000000000,
        },
        "0x1e7a9157bc9d6f7c78a71729453c57c5a57c40c8deae1e2322f0f3554f943b26",
        "0x5c01fd32c6f4ce5501d24825a5dd6164dde6c62ee7b80c16a4ab0fed696ce482",
        28,
    ),
    (
        "V10 usdClassTransfer",
        {"type": "usdClassTransfer", "amount": "1.0", "toPerp": True, "nonce": 1700000000000},
        "0x6efa48095c874bfb45a1799493d92ff810a874b5d934cfb60ad9881f6158e926",
        "0x12f909d46dbd3589719f882807f509d5f7387081cc2657442d9c7bff34b347f0",
        27,
    ),
]


@pytest.mark.parametrize(
    ("action", "r", "s", "v"),
    [row[1:] for row in USER_SIGNATURES],
    ids=[row[0] for row in USER_SIGNATURES],
)
def test_user_signatures(action: dict[str, Any], r: str, s: str, v: int) -> None:
    """A published wallet signature is what we sign, and recovers to its signer."""
    complete, signature = sign_user_action(KEY, action)

    assert signature == Signature.of_hex(r, s, v)
    assert recover_signer(user_signed_digest(complete), signature) == KEY.address


def test_user_signed_digests() -> None:
    """Struct hash and digest of a transfer and the digest of an approval are the published ones."""
    transfer, _ = sign_user_action(KEY, USER_SIGNATURES[0][1])
    approval, _ = sign_user_action(KEY, USER_SIGNATURES[2][1])
    del approval["agentName"]

    struct_hash = USER_SIGNED["usdSend"].struct_hash(transfer)
    assert struct_hash.hex() == "e81f1691f350bb9a59d2b40b3d16c9526a8f93407dd72bcb9ea95e291a5de6da"
    assert (
        user_signed_digest(transfer).hex()
        == "cacf7585cc49ca60c6c5fb3001e226c0ca03c46252c893eea574c78907b7cebe"
    )
    assert (
        user_signed_digest(approval).hex()
        == "1fa5a3a59076d9cfef98f6b48d13025fbfc8b0c2744ebf1efbaacb09788fddbd"
    )


CURVE_ORDER: Final = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
DIGEST: Final = keccak256(b"anything")


def test_the_twin_of_a_signature_has_the_same_signer() -> None:
    """High s is accepted and gives the same signer, so that only the nonce tells actions apart."""
    signature = KEY.sign(DIGEST)
    s = CURVE_ORDER - int.from_bytes(signature.compact[32:], "big")
    twin = Signature(signature.compact[:32] + s.to_bytes(32, "big"), 55 - signature.v)

    assert recover_signer(DIGEST, twin) == KEY.address


@pytest.mark.parametrize(
    "signature",
    [
        Signature.of_hex("0x0", "0x0", 27),
        Signature.of_hex("0x1", "0x0", 27),
        Signature.of_hex("0x" + "f" * 64, "0x1", 28),
        Signature.of_hex("0x1", hex(CURVE_ORDER), 28),
        Signature.of_hex("0x5", "0x1", 27),
        Signature(KEY.sign(DIGEST).compact, 0),
        Signature(KEY.sign(DIGEST).compact, 29),
        Signature(KEY.sign(DIGEST).compact, 2**64),
    ],
)
def test_no_key_can_have_made_it(signature: Signature) -> None:
    """A signature out of range, or with r off the curve, has no signer."""
    with pytest.raises(UnrecoverableSignatureError):
        recover_signer(DIGEST, signature)


@pytest.mark.parametrize("r", ["0x" + "1" * 65, "0xg1", "0x 1", "0x-1", "0x1_1", "0x" + "1" * 66])
def test_hex_of_signature_is_strict(r: str) -> None:
    """Text other than up to 64 hex digits is not a signature."""
    with pytest.raises(ValueError):
        Signature.of_hex(r, "0x1", 27)


def test_signature_survives_the_wire() -> None:
    """A signature written as JSON and read again is the same one."""
    signature = KEY.sign(DIGEST)
    wire = signature.to_wire()

    assert Signature.of_hex(str(wire["r"]), str(wire["s"]), int(wire["v"])) == signature


def test_digest_begins_with_the_version_of_typed_data() -> None:
    """A digest cannot be mistaken for that of a transaction."""
    assert typed_digest(b"\1" * 32, b"\2" * 32) == keccak256(b"\x19\1" + b"\1" * 32 + b"\2" * 32)
