from contextlib import suppress
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.subscriptions import (
    SUBSCRIPTION_BYTES_MAX,
    InvalidSubscriptionError,
    MalformedMessageError,
    Ping,
    Post,
    Subscribe,
    Unsubscribe,
    read_message,
    read_subscription,
)

USER = "0x" + "Ab" * 20


def encode(message: Any) -> str:
    return msgspec.json.encode(message).decode()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (
            {"type": "l2Book", "coin": "BTC"},
            {"type": "l2Book", "coin": "BTC", "nSigFigs": None, "mantissa": None, "fast": False},
        ),
        (
            {"type": "l2Book", "coin": "BTC", "nSigFigs": 5},
            {"type": "l2Book", "coin": "BTC", "nSigFigs": 5, "mantissa": 1},
        ),
        (
            {"type": "userFills", "user": USER},
            {"type": "userFills", "user": USER.lower(), "aggregateByTime": False},
        ),
        ({"type": "openOrders", "user": USER}, {"type": "openOrders", "user": USER, "dex": ""}),
        ({"type": "allMids"}, {"type": "allMids", "dex": None}),
    ],
)
def test_spellings_of_one_subscription(one: dict[str, Any], other: dict[str, Any]) -> None:
    """Defaults, nulls and letter case do not make another one."""
    assert read_subscription(one) == read_subscription(other)


@pytest.mark.parametrize(
    ("asked", "error"),
    [
        ({"type": "candle", "coin": "BTC", "interval": "7m"}, InvalidSubscriptionError),
        ({"type": "l2Book", "coin": "BTC", "nSigFigs": 6}, InvalidSubscriptionError),
        ({"type": "l2Book", "coin": "BTC", "mantissa": 2}, InvalidSubscriptionError),
        ({"type": "allMids", "dex": "other"}, InvalidSubscriptionError),
        ({"type": "l2Book", "coin": "BTC", "nSigFigs": True}, MalformedMessageError),
        ({"type": "bbo"}, MalformedMessageError),
        ({"type": "userFills", "user": "0x12"}, MalformedMessageError),
        ({"type": "userFills", "user": USER, "aggregateByTime": 1}, MalformedMessageError),
        ({"type": "activeAssetData", "user": USER}, MalformedMessageError),
        ({"type": "nonsense"}, MalformedMessageError),
        ({}, MalformedMessageError),
    ],
)
def test_what_cannot_be_subscribed_to(asked: dict[str, Any], error: type[Exception]) -> None:
    """Ill-formed and unacceptable are two things."""
    with pytest.raises(error):
        read_subscription(asked)


def test_messages() -> None:
    """Each method has its message; unknown keys are ignored."""
    asked = {"type": "bbo", "coin": "BTC"}
    post = {"method": "post", "id": 2**64 - 1, "request": {"type": "info", "payload": {"a": 1}}}

    assert read_message('{"method":"ping","id":1}') == Ping()
    assert isinstance(
        read_message(encode({"method": "subscribe", "subscription": asked})), Subscribe
    )
    gone = encode({"method": "unsubscribe", "subscription": asked, "id": "7"})
    assert isinstance(read_message(gone), Unsubscribe)
    assert read_message(encode(post)) == Post(2**64 - 1, "info", b'{"a":1}')


@pytest.mark.parametrize("post_id", [-1, 2**64, 1.5, "1", None, True])
def test_ids_of_posts(post_id: object) -> None:
    """Anything but an unsigned integer is no id."""
    post = {"method": "post", "id": post_id, "request": {"type": "info", "payload": {}}}
    with pytest.raises(MalformedMessageError):
        read_message(encode(post))


def test_what_is_kept_is_bounded() -> None:
    """The acknowledgement repeats a request, so that may not be long."""
    asked = {"type": "bbo", "coin": "BTC", "x": "y" * SUBSCRIPTION_BYTES_MAX}
    with pytest.raises(MalformedMessageError):
        read_message(encode({"method": "subscribe", "subscription": asked}))


@given(st.text() | st.binary())
def test_anything_is_read_or_refused(text: str | bytes) -> None:
    """No bytes raise anything else."""
    with suppress(MalformedMessageError, InvalidSubscriptionError):
        read_message(text)
