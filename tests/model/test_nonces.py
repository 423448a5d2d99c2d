"""Nonces: once each, within the window, the highest hundred kept."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.nonces import NONCES_KEPT, WINDOW_FUTURE_MS, WINDOW_PAST_MS, use_nonce
from model.refusals import Refusal

NOW = 1_700_000_000_000


@pytest.mark.parametrize(
    ("nonce", "reason"),
    [
        (NOW - WINDOW_PAST_MS, Refusal.NONCE_TOO_LOW),
        (NOW - WINDOW_PAST_MS + 1, None),
        (NOW + WINDOW_FUTURE_MS - 1, None),
        (NOW + WINDOW_FUTURE_MS, Refusal.NONCE_TOO_HIGH),
        (0, Refusal.NONCE_TOO_LOW),
        (2**64 - 1, Refusal.NONCE_TOO_HIGH),
    ],
)
def test_ends_of_the_window_are_outside(nonce: int, reason: Refusal | None) -> None:
    """Two days back and one day ahead are the first that are refused."""
    refused = use_nonce([], nonce, NOW)

    assert (refused[0] if refused else None) is reason


def test_refused_nonce_tells_the_nearest_that_would_do() -> None:
    """The texts name the nonce and the bound that it missed."""
    lowest = NOW - WINDOW_PAST_MS + 1
    highest = NOW + WINDOW_FUTURE_MS - 1

    assert use_nonce([], 5, NOW) == (Refusal.NONCE_TOO_LOW, (5, lowest))
    assert use_nonce([], NOW * 2, NOW) == (Refusal.NONCE_TOO_HIGH, (NOW * 2, highest))


def test_same_nonce_is_refused() -> None:
    """Nothing takes effect twice."""
    kept: list[int] = []

    assert use_nonce(kept, NOW, NOW) is None
    assert use_nonce(kept, NOW, NOW) == (Refusal.NONCE_DUPLICATE, (NOW,))
    assert kept == [NOW]


def test_nonces_may_arrive_in_any_order() -> None:
    """A lower one is fine as long as it was not used and the kept ones are few."""
    kept: list[int] = []
    nonces = list(range(NOW, NOW + NONCES_KEPT))
    random.Random(1).shuffle(nonces)

    assert [use_nonce(kept, nonce, NOW) for nonce in nonces] == [None] * NONCES_KEPT
    assert kept == sorted(nonces)


def test_with_a_hundred_kept_a_new_one_must_be_above_the_lowest() -> None:
    """What was forgotten cannot be told from what was used, so it is refused."""
    kept = list(range(NOW, NOW + NONCES_KEPT))

    refused = use_nonce(kept, NOW - 1, NOW)
    admitted = use_nonce(kept, NOW + NONCES_KEPT, NOW)

    assert refused == (Refusal.NONCE_TOO_LOW, (NOW - 1, NOW + 1))
    assert admitted is None
    assert kept == list(range(NOW + 1, NOW + NONCES_KEPT + 1))
    assert use_nonce(kept, NOW, NOW) == (Refusal.NONCE_TOO_LOW, (NOW, NOW + 2))


@given(st.lists(st.integers(NOW, NOW + 300), max_size=400))
def test_no_nonce_is_ever_admitted_twice(nonces: list[int]) -> None:
    """Whatever arrives, in whatever order."""
    kept: list[int] = []

    admitted = [nonce for nonce in nonces if use_nonce(kept, nonce, NOW) is None]

    assert len(admitted) == len(set(admitted))
    assert kept == sorted(admitted)[-NONCES_KEPT:]
