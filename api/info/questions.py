"""Reading questions: unknown keys are ignored, null is absence, addresses may be in any case.

What is missing or ill-formed is answered with 422 and the text that clients of Hyperliquid know.
"""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

from api.exchange.errors import not_a_request, not_json, too_long
from api.gateway import Gateway
from model.ids import Address, Cloid, OrderId
from model.instruments import Instrument

QUESTION_BYTES_MAX: Final = 64 * 1024
"""Longest question; the longest useful one is a few hundred bytes."""

Question = dict[str, Any]

_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}", re.ASCII)
_CLOID = re.compile(r"0x[0-9a-fA-F]{32}", re.ASCII)
_TIME_MS_MAX: Final = 2**53 - 1
_decoder = msgspec.json.Decoder(dict[str, Any])


def read_question(body: bytes) -> Question:
    """Read the body of a request.

    Raises:
        MalformedBodyError: it is too long (413), not JSON (400), or not an object (422).
    """
    if len(body) > QUESTION_BYTES_MAX:
        raise too_long(QUESTION_BYTES_MAX)
    try:
        return _decoder.decode(body)
    except msgspec.ValidationError as error:
        raise not_a_request(error) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise not_json(error) from error


def user_of(question: Question, key: str = "user") -> Address:
    """Return the address that a question names."""
    user = question.get(key)
    if not isinstance(user, str) or _ADDRESS.fullmatch(user) is None:
        raise not_a_request(f"missing or malformed field {key}")
    return Address(user.lower())


def coin_of(gateway: Gateway, question: Question) -> Instrument | None:
    """Return the market that a question names; None if there is none of that name."""
    return gateway.instrument(text_of(question, "coin"))


def text_of(question: Question, key: str) -> str:
    """Return a text that a question must hold."""
    value = question.get(key)
    if not isinstance(value, str):
        raise not_a_request(f"missing field {key}")
    return value


def check_dex(question: Question) -> None:
    """Accept the main market under its three spellings: absent, null and empty."""
    if question.get("dex") not in (None, ""):
        raise not_a_request("unknown dex")


def flag(question: Question, key: str) -> bool:
    """Return a yes or no that a question may hold; no if it does not."""
    value = question.get(key)
    if value is not None and not isinstance(value, bool):
        raise not_a_request(f"malformed field {key}")
    return bool(value)


def number_of(question: Question, key: str) -> int:
    """Return a whole number that a question must hold."""
    value = question.get(key)
    if type(value) is not int:
        raise not_a_request(f"missing or malformed field {key}")
    return value


def span_of(question: Question, *, start_required: bool) -> tuple[int, int]:
    """Return the first and last millisecond that a question asks about."""
    start, end = question.get("startTime"), question.get("endTime")
    if start is None and not start_required:
        start = 0
    for value in (start, end):
        if value is not None and not (type(value) is int and 0 <= value <= _TIME_MS_MAX):
            raise not_a_request("malformed time")
    if start is None:
        raise not_a_request("missing field startTime")
    return start, _TIME_MS_MAX if end is None else end


def order_target(question: Question) -> OrderId | Cloid:
    """Return the order that a question names, by its id or client id."""
    oid = question.get("oid")
    if type(oid) is int and 0 <= oid <= 2**63 - 1:
        return OrderId(oid)
    if isinstance(oid, str) and _CLOID.fullmatch(oid) is not None:
        return Cloid(oid.lower())
    raise not_a_request("missing or malformed field oid")
