"""Subscriptions and the rules of an outlet, over a transport in memory."""

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import wait_all_tasks_blocked

from actors.backlogs import LOSSLESS_FRAMES_MAX
from actors.fanout import Cork, publish
from actors.frames import Frame
from actors.outlet import HELD_BYTES_MAX, NORMAL, SLOW_CONSUMER
from actors.subscription import Ended, Policy, Subscription, close_connection
from tests.actors.memory_outlet import Client, refuse, text


async def test_a_writable_connection_needs_no_drain(nursery: trio.Nursery) -> None:
    """While frames are taken, nothing is held and nobody is woken."""
    client = Client(nursery, room=3)
    subscription = client.subscribe("one")

    for payload in "abc":
        publish([subscription], text(payload))
    await wait_all_tasks_blocked()

    assert client.outlet.texts == ["a", "b", "c"]
    assert client.wakes == 0
    assert subscription.held_frames == 0


async def test_a_backlog_wakes_its_drain_once(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    """The drain is woken by the first frame held and writes all that come until it is done."""
    client = Client(nursery)
    subscription = client.subscribe("one")
    for payload in "abcd":
        publish([subscription], text(payload))

    client.outlet.make_room(10)
    await trio.sleep(1)
    publish([subscription], text("e"))

    assert client.outlet.texts == list("abcde")
    assert client.wakes == 1


async def test_nothing_overtakes_a_waiting_frame_of_another_subscription(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    """When room comes back, a new frame queues behind those that wait already."""
    client = Client(nursery)
    early, late = client.subscribe("early"), client.subscribe("late")
    early.offer(text("early"))
    await trio.sleep(1)

    client.outlet.make_room(2)
    late.offer(text("late"))
    await trio.sleep(1)

    assert client.outlet.texts == ["early", "late"]


async def test_an_overflow_ends_a_lossless_subscription_alone_if_its_owner_says_so(
    nursery: trio.Nursery,
) -> None:
    """The owner hears the reason once; other subscriptions of the connection go on."""
    client = Client(nursery)
    subscription, other = client.subscribe("one"), client.subscribe("two")

    for number in range(LOSSLESS_FRAMES_MAX + 5):
        publish([subscription], text(str(number)))
    other.offer(text("still here"))
    await wait_all_tasks_blocked()

    assert client.ended == [("one", Ended.OVERFLOWED)]
    assert subscription.held_frames == 0
    assert client.outlet.closing is None
    assert other.held_frames == 1


async def test_bytes_held_by_one_connection_are_bounded(nursery: trio.Nursery) -> None:
    """Many subscriptions, each within its own bound, cannot hold more than the connection may."""
    client = Client(nursery)
    frame = Frame(bytes(1 << 19))
    subscriptions = [client.subscribe(str(number)) for number in range(64)]

    publish(subscriptions, frame)

    held = sum(frame.size * subscription.held_frames for subscription in subscriptions)
    assert HELD_BYTES_MAX <= held <= HELD_BYTES_MAX + frame.size
    assert client.outlet.closing == SLOW_CONSUMER
    assert client.outlet.counts.flooded == 1
    await wait_all_tasks_blocked()
    assert sum(subscription.held_frames for subscription in subscriptions) == 0


async def test_a_subscription_that_nobody_drains_ends_as_crashed() -> None:
    """If its actor cannot be woken, a subscription does not pretend to live."""
    async with trio.open_nursery() as nursery:
        client = Client(nursery)
        subscription = Subscription(
            "one", client.outlet, Policy.LOSSLESS, wake=refuse, on_end=close_connection
        )

        subscription.offer(text("a"))

        assert subscription.ended is Ended.CRASHED
        assert client.outlet.closing is not None
        client.outlet.abort()


async def test_an_ended_subscription_takes_frames_silently(nursery: trio.Nursery) -> None:
    """A publisher that has not heard of the end yet disturbs nobody."""
    client = Client(nursery, room=5)
    subscription = client.subscribe("one")
    subscription.end(Ended.UNSUBSCRIBED)
    subscription.end(Ended.CRASHED)

    publish([subscription], text("a"))
    await wait_all_tasks_blocked()

    assert client.outlet.texts == []
    assert client.ended == [("one", Ended.UNSUBSCRIBED)]


async def test_an_unsubscribed_backlog_makes_way_for_the_others(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    """Ending a subscription that waits for its turn does not stop the turns."""
    client = Client(nursery)
    first, second = client.subscribe("first"), client.subscribe("second")
    first.offer(text("1"))
    second.offer(text("2"))
    await trio.sleep(1)

    first.end(Ended.UNSUBSCRIBED)
    client.outlet.make_room(5)
    await trio.sleep(1)

    assert client.outlet.texts == ["2"]
    assert client.outlet.clear


async def test_a_cancelled_drain_loses_no_frame_and_no_turn(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    """The backlog stays as it was, another drain goes on with it, other drains have their turns."""
    client = Client(nursery)
    scope = trio.CancelScope()

    async def drain_until_cancelled() -> None:
        with scope:
            await subscription.drain()

    other = client.subscribe("other")
    subscription = Subscription(
        "one", client.outlet, Policy.LOSSLESS, wake=lambda _: True, on_end=close_connection
    )
    for payload in "abc":
        subscription.offer(text(payload))
    other.offer(text("x"))
    nursery.start_soon(drain_until_cancelled)
    await trio.sleep(1)
    client.outlet.make_room(1)
    scope.cancel()
    await trio.sleep(1)

    nursery.start_soon(subscription.drain)
    client.outlet.make_room(9)
    await trio.sleep(1)

    texts = client.outlet.texts
    assert [payload for payload in texts if payload != "x"] == ["a", "b", "c"]
    assert "x" in texts
    assert client.outlet.clear


async def test_a_close_says_goodbye_after_the_replies(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    """Replies given before the close are written; data that waits is not."""
    client = Client(nursery)
    subscription = client.subscribe("one")
    subscription.offer(text("data"))
    client.outlet.reply(text("reply"))
    client.outlet.close(SLOW_CONSUMER)
    client.outlet.close(NORMAL)

    assert not client.outlet.reply(text("too late"))
    client.outlet.make_room(9)
    await trio.sleep(1)

    assert client.outlet.texts == ["reply"]
    assert client.outlet.goodbye == SLOW_CONSUMER
    assert client.ended == [("one", Ended.DISCONNECTED)]


class Play:
    """Four streams and the replies of one connection, and what was sent on each."""

    def __init__(self, nursery: trio.Nursery, policy: Policy) -> None:
        self.policy = policy
        self.client = Client(nursery)
        self.subscriptions = [self.client.subscribe(str(index), policy) for index in range(4)]
        self.sent: dict[str, list[str]] = {name: [] for name in ("0", "1", "2", "3", "reply")}

    async def do(self, step: str, number: int) -> None:
        match step:
            case "reply":
                assert self.client.outlet.reply(self._frame("reply"))
            case "room":
                self.client.outlet.make_room(number)
            case "wait":
                await trio.sleep(number)
            case "end":
                self.subscriptions[3].end(Ended.UNSUBSCRIBED)
            case _:
                self._publish(step, [one for one in self.subscriptions[number:] if not one.ended])

    def _publish(self, step: str, subscriptions: list[Subscription]) -> None:
        with Cork() as cork:
            for one in subscriptions:
                match step:
                    case "offer":
                        one.offer(self._frame(one.name))
                    case "publish":
                        publish([one], self._frame(one.name))
                    case "cork":
                        cork.publish([one], self._frame(one.name))
                        cork.publish([one], self._frame(one.name))
                    case _:
                        raise AssertionError(step)

    def _frame(self, name: str) -> Frame:
        self.sent[name].append(f"{name}:{len(self.sent[name])}")
        return text(self.sent[name][-1])

    def check(self, name: str) -> None:
        sent = self.sent[name]
        got = [one for one in self.client.outlet.texts if one.startswith(f"{name}:")]
        assert got == [one for one in sent if one in set(got)], "in order, none twice"
        if name == "3" and self.subscriptions[3].ended:
            return
        assert got[-1:] == sent[-1:], "the newest arrives"
        if name == "reply" or self.policy is Policy.LOSSLESS:
            assert got == sent


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["offer", "publish", "cork", "reply", "room", "room", "wait", "end"]),
        st.integers(0, 3),
    ),
    max_size=60,
)


@pytest.mark.parametrize("policy", list(Policy))
@settings(max_examples=150)
@given(steps=STEPS)
def test_whatever_happens_each_stream_stays_in_order(
    policy: Policy, steps: list[tuple[str, int]]
) -> None:
    """Lossless streams arrive whole and in order, others in order and ending with the newest."""

    async def run() -> None:
        async with trio.open_nursery() as nursery:
            play = Play(nursery, policy)
            for step, number in steps:
                await play.do(step, number)
            play.client.outlet.make_room(10_000)
            await trio.sleep(1)

            assert play.client.outlet.clear
            for name in play.sent:
                play.check(name)
            nursery.cancel_scope.cancel()

    trio.run(run, clock=trio.testing.MockClock(autojump_threshold=0))
