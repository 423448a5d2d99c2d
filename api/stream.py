"""One WebSocket connection: its messages in, and everything that answers them.

All that goes out, goes through the connection's outlet, so an acknowledgement always precedes the
data that it announces. Messages are handled in the order of their arrival and never wait for an
outcome: actions are handed on and answered when their receipt comes, questions are answered by
tasks of their own.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from itertools import count
from typing import Any, Final

import msgspec
import trio
from attrs import Factory, define, field

from actors.carried import Step, carrying
from actors.frames import Frame
from actors.outlet import Close, Outlet
from actors.subscription import Ended, Subscription, close_connection
from api.exchange.errors import MalformedBodyError
from api.subscriptions import (
    InvalidSubscriptionError,
    MalformedMessageError,
    Ping,
    Post,
    Subscribe,
    Unsubscribe,
    Wanted,
    channel_of,
    read_message,
)
from api.surface import Answering, Entering, Surface
from model.ids import Address

SUBSCRIPTIONS_MAX: Final = 1_000
"""Subscriptions of one connection. Source: Hyperliquid API documentation, rate limits."""
USERS_MAX: Final = 10
"""Different users that one connection may follow; same source."""
POSTS_IN_FLIGHT_MAX: Final = 100
"""Requests of one connection that wait for their answers; same source."""
ECHO_CHARACTERS_MAX: Final = 4_096
"""How much of a message that was not understood is shown to its sender."""
TOO_MANY_MESSAGES: Final = Close(1008, "too many messages")
"""How a connection is ended whose peer says more than its limit."""

_PONG: Final = Frame(b'{"channel":"pong"}')
_WS: Final = {"http.request.method": "GET", "http.route": "/ws"}
_numbers = count(1)

log = logging.getLogger("zaraba")

Receive = Callable[[], Awaitable[str | bytes]]


@define(eq=False)
class Stream:
    """The protocol of one connection.

    ``may_speak`` is asked at each message; one too many ends the connection. ``traceparent`` is the
    header of the upgrade: if it is sampled, everything that the client says here is traced.
    """

    gateway: Surface
    entry: Entering
    info: Answering
    outlet: Outlet
    may_speak: Callable[[], bool] = lambda: True
    name: str = Factory(lambda: f"c{next(_numbers)}")
    traceparent: str | None = None
    _subscriptions: dict[Wanted, Subscription] = field(init=False, factory=dict)
    _users: dict[Address, int] = field(init=False, factory=dict)
    _posts: int = field(init=False, default=0)

    async def run(self, receive: Receive) -> None:
        """Handle messages until ``receive`` raises because the connection is over."""
        try:
            async with trio.open_nursery() as nursery:
                while True:
                    message = await receive()
                    if self.may_speak():
                        self.handle(message, nursery)
                    else:
                        self.gateway.telemetry.input_refused("ws", "flood")
                        self.outlet.close(TOO_MANY_MESSAGES)
        finally:
            for wanted, subscription in list(self._subscriptions.items()):
                subscription.end(Ended.DISCONNECTED)
                self.gateway.unsubscribe(wanted, subscription)

    def handle(self, message: str | bytes, nursery: trio.Nursery) -> None:
        """Handle one message; never waits."""
        if isinstance(message, bytes):
            self._refuse("binary", "Error parsing JSON into valid websocket request: binary frame")
            return
        try:
            read = read_message(message)
        except MalformedMessageError:
            self._refuse("malformed", _not_understood(message))
            return
        except InvalidSubscriptionError:
            self._refuse("subscription", f"Invalid subscription {_subscription_text(message)}")
            return
        match read:
            case Ping():
                self.outlet.reply(_PONG)
            case Subscribe(wanted):
                with self.gateway.telemetry.request("ws subscribe", self.traceparent, _WS):
                    self._subscribe(wanted)
            case Unsubscribe(wanted):
                self._unsubscribe(wanted)
            case Post():
                self._post(read, nursery, message)

    # -- subscriptions

    def _subscribe(self, wanted: Wanted) -> None:
        text = msgspec.json.encode(wanted.echo).decode()
        if not self.gateway.knows_subject(wanted):
            self._refuse("subscription", f"Invalid subscription {text}")
        elif wanted in self._subscriptions:
            self._refuse("duplicate", f"Already subscribed: {text}")
        elif len(self._subscriptions) >= SUBSCRIPTIONS_MAX:
            self._refuse("flood", f"Cannot subscribe to more than {SUBSCRIPTIONS_MAX} channels.")
        elif (
            wanted.user is not None
            and wanted.user not in self._users
            and len(self._users) >= USERS_MAX
        ):
            self._refuse("flood", f"Cannot track more than {USERS_MAX} total users.")
        else:
            self._begin(wanted)

    def _begin(self, wanted: Wanted) -> None:
        """Subscribe, then confirm: the publisher is another task, so no data comes first."""
        subscription = Subscription(
            f"{self.name}/{next(_numbers)}",
            self.outlet,
            channel_of(wanted).policy,
            wake=self.gateway.wake_subscription,
            on_end=close_connection,
        )
        if not self.gateway.subscribe(wanted, subscription):
            text = msgspec.json.encode(wanted.echo).decode()
            self._refuse("overload", f"Invalid subscription {text}")
            return
        self._subscriptions[wanted] = subscription
        if wanted.user is not None:
            self._users[wanted.user] = self._users.get(wanted.user, 0) + 1
        self._acknowledge("subscribe", wanted)

    def _unsubscribe(self, wanted: Wanted) -> None:
        subscription = self._subscriptions.get(wanted)
        if subscription is None:
            text = msgspec.json.encode(wanted.echo).decode()
            self._refuse("duplicate", f"Already unsubscribed: {text}")
            return
        self._forget(wanted)
        subscription.end(Ended.UNSUBSCRIBED)
        self.gateway.unsubscribe(wanted, subscription)
        self._acknowledge("unsubscribe", wanted)

    def _forget(self, wanted: Wanted) -> None:
        del self._subscriptions[wanted]
        if wanted.user is not None:
            self._users[wanted.user] -= 1
            if not self._users[wanted.user]:
                del self._users[wanted.user]

    def _acknowledge(self, method: str, wanted: Wanted) -> None:
        self._send("subscriptionResponse", {"method": method, "subscription": wanted.echo})

    # -- requests

    def _post(self, post: Post, nursery: trio.Nursery, message: str) -> None:
        if post.kind not in ("info", "action"):
            self._refuse("malformed", _not_understood(message))
            return
        if self._posts >= POSTS_IN_FLIGHT_MAX:
            self._refuse("flood", f"too many pending post requests id={post.id}")
            return
        self._posts += 1
        if post.kind == "info":
            nursery.start_soon(self._answer_info, post)
            return
        step = self.gateway.telemetry.begin("ws post", self.traceparent, _WS)
        if step is None:
            self._enter(post)
        else:
            with carrying(step):
                self._enter(post, step)

    def _enter(self, post: Post, step: Step | None = None) -> None:
        """Hand an action on, in the name of a step if it is traced."""

        def finish(answer: bytes) -> None:
            self._answer_post(post.id, "action", answer)
            if step is not None:
                step.end()

        try:
            self.entry.enter_nowait(post.payload, finish)
        except MalformedBodyError as error:
            self._answer_post(post.id, "error", msgspec.json.encode(_status_text(error)))
            if step is not None:
                step.end(error)

    async def _answer_info(self, post: Post) -> None:
        with self.gateway.telemetry.request("ws post", self.traceparent, _WS):
            await self._find_answer(post)

    async def _find_answer(self, post: Post) -> None:
        try:
            kind, data = await self.info.answer_post(post.payload)
        except MalformedBodyError as error:
            self._answer_post(post.id, "error", msgspec.json.encode(_status_text(error)))
            return
        except Exception:  # a question must not end the stream of those that were asked beside it
            log.exception("a question over a WebSocket failed")
            self._answer_post(post.id, "error", msgspec.json.encode("500 Internal Server Error"))
            return
        payload = b'{"type":' + msgspec.json.encode(kind) + b',"data":' + data + b"}"
        self._answer_post(post.id, "info", payload)

    def _answer_post(self, post_id: int, kind: str, payload: bytes) -> None:
        self._posts -= 1
        self.outlet.reply(
            Frame(
                b'{"channel":"post","data":{"id":%d,"response":{"type":"%b","payload":%b}}}'
                % (post_id, kind.encode(), payload)
            )
        )

    # -- sending

    def _send(self, channel: str, data: Any) -> None:
        self.outlet.reply(Frame(msgspec.json.encode({"channel": channel, "data": data})))

    def _refuse(self, reason: str, text: str) -> None:
        self.gateway.telemetry.input_refused("ws", reason)
        self._send("error", text)


def _status_text(error: MalformedBodyError) -> str:
    return f"{error.status} {error.text}"


def _not_understood(message: str) -> str:
    """Return the error text; it holds the whole message unless that is absurdly long."""
    return f"Error parsing JSON into valid websocket request: {message[:ECHO_CHARACTERS_MAX]}"


def _subscription_text(message: str) -> str:
    asked = msgspec.json.decode(message).get("subscription")
    return msgspec.json.encode(asked).decode()
