"""Bounds, policies and counters of the lanes."""

from collections.abc import Hashable

from hypothesis import given
from hypothesis import strategies as st

from supervision import Delivery, Envelope, MailboxSpec, OnFull
from supervision.mailbox import CONTROL_MAX, Mailbox


def envelope(message: object) -> Envelope:
    return Envelope(message, None, 0.0)


def fill(mailbox: Mailbox, *messages: object) -> list[Delivery]:
    return [mailbox.offer(envelope(message))[0] for message in messages]


def drain(mailbox: Mailbox) -> list[object]:
    return [mailbox.take().message for _ in range(len(mailbox.user))]


def test_full_mailbox_refuses() -> None:
    """By default a full mailbox says so and keeps what it has."""
    mailbox = Mailbox(MailboxSpec(2))

    assert fill(mailbox, 1, 2, 3) == [Delivery.ACCEPTED, Delivery.ACCEPTED, Delivery.FULL]
    assert drain(mailbox) == [1, 2]
    assert mailbox.refused == 1


def test_drop_oldest_keeps_the_newest() -> None:
    """DROP_OLDEST accepts and counts what it dropped."""
    mailbox = Mailbox(MailboxSpec(2, OnFull.DROP_OLDEST))

    assert fill(mailbox, 1, 2, 3)[-1] is Delivery.DISPLACED
    assert drain(mailbox) == [2, 3]
    assert mailbox.dropped == 1


def test_drop_newest_keeps_the_oldest() -> None:
    """DROP_NEWEST drops what comes and tells the sender, falsely."""
    mailbox = Mailbox(MailboxSpec(1, OnFull.DROP_NEWEST))

    last = fill(mailbox, 1, 2)[-1]

    assert last is Delivery.DROPPED
    assert not last
    assert drain(mailbox) == [1]


def test_conflation_keeps_the_place_of_the_first() -> None:
    """A newer message takes over the place of the waiting one with its key."""
    mailbox = Mailbox(MailboxSpec(2, OnFull.CONFLATE, key=lambda message: message[0]))

    deliveries = fill(mailbox, "a1", "b1", "a2", "c1")

    assert deliveries[2:] == [Delivery.CONFLATED, Delivery.FULL]
    assert drain(mailbox) == ["a2", "b1"]
    assert fill(mailbox, "a3") == [Delivery.ACCEPTED]


def test_message_without_key_is_not_conflated() -> None:
    """A key of None keeps a message out of the conflation."""
    mailbox = Mailbox(MailboxSpec(4, OnFull.CONFLATE, key=lambda message: None))

    fill(mailbox, "a", "a")

    assert drain(mailbox) == ["a", "a"]


def test_control_lane_has_a_bound() -> None:
    """An overfull control lane is reported to the sender."""
    mailbox = Mailbox(MailboxSpec(1))

    accepted = [mailbox.push_control(None) for _ in range(CONTROL_MAX + 1)]

    assert accepted.count(False) == 1


def test_closing_hands_over_what_waits() -> None:
    """A closed mailbox gives back its messages in order."""
    mailbox = Mailbox(MailboxSpec(4))
    fill(mailbox, 1, 2)

    assert [waiting.message for waiting in mailbox.close()] == [1, 2]
    assert mailbox.closed


def _key(message: object) -> Hashable:
    return message if isinstance(message, int) and message % 3 else None


@given(
    st.sampled_from(OnFull),
    st.integers(1, 4),
    st.lists(st.one_of(st.integers(0, 5), st.just("take")), max_size=60),
)
def test_messages_are_conserved(policy: OnFull, capacity: int, steps: list[int | str]) -> None:
    """What was accepted was taken, conflated, dropped or still waits; the bound always holds."""
    mailbox = Mailbox(MailboxSpec(capacity, policy, _key if policy is OnFull.CONFLATE else None))
    taken = 0

    for step in steps:
        if step == "take":
            if mailbox.user:
                mailbox.take()
                taken += 1
        else:
            mailbox.offer(envelope(step))
        assert len(mailbox.user) <= capacity

    gone = taken + mailbox.conflated + mailbox.dropped
    assert mailbox.accepted == gone + len(mailbox.user)
