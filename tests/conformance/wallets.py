"""Users of the published ``hyperliquid-python-sdk``, as its documentation tells them to be.

Nothing of the SDK is changed or patched here: its ``Info`` and ``Exchange`` are given the address
of the exchange and that is all. Their calls, and what these send, are noted.
"""

import contextlib
import queue
import time
from collections.abc import Callable
from typing import Any, Final

import eth_account
from attrs import define, field
from eth_account.signers.local import LocalAccount
from hyperliquid.exchange import Exchange
from hyperliquid.info import Info

from tests.conformance.record import CHANNEL, Recorder
from tests.program.harness import Program

SDK: Final = "Python SDK"
FRAME_SECONDS_MAX: Final = 20.0

GTC: Final[Any] = {"limit": {"tif": "Gtc"}}
IOC: Final[Any] = {"limit": {"tif": "Ioc"}}
ALO: Final[Any] = {"limit": {"tif": "Alo"}}


@define(eq=False)
class Wallet:
    """An account and the SDK's two objects for it. The first subscription opens a WebSocket."""

    program: Program
    account: LocalAccount
    exchange: Any
    info: Any
    _recorder: Recorder
    _stream: Any = field(init=False, default=None)

    @classmethod
    def open(
        cls,
        program: Program,
        usd: int | str = 10_000,
        account: LocalAccount | None = None,
        *,
        recorder: Recorder,
        **options: Any,
    ) -> "Wallet":
        """Make a wallet, funded unless ``usd`` is 0."""
        account = account or eth_account.Account.create()
        if usd:
            program.fund(account.address, usd)
        return cls(
            program,
            account,
            _noted(Exchange(account, base_url=program.url, **options), recorder),
            _noted(Info(program.url, skip_ws=True), recorder),
            recorder,
        )

    @property
    def address(self) -> str:
        """As the SDK has it: with the letter case of a checksum."""
        return str(self.account.address)

    def close(self) -> None:
        """Close the connections, which the SDK leaves to the garbage collector. May be repeated."""
        self.exchange.session.close()
        self.exchange.info.session.close()
        self.info.session.close()
        if self._stream is not None:
            self._close_stream()

    def _close_stream(self) -> None:
        # The client's thread sleeps for ten seconds if its socket is closed under it. A pong wakes
        # it, and it sees that it should end.
        stream, self._stream = self._stream, None
        manager = stream.ws_manager
        manager.ws.keep_running = False
        manager.ws.send('{"method":"ping"}')
        manager.join()
        stream.disconnect_websocket()
        stream.session.close()

    # -- orders ----------------------------------------------------------------------------------

    def place(self, coin: str, size: float, price: float, tif: Any = GTC, **options: Any) -> Any:
        """Place an order, to sell if the size is negative; return its status."""
        return self._status(self.exchange.order(coin, size > 0, abs(size), price, tif, **options))

    def rest(self, coin: str, size: float, price: float, **options: Any) -> int:
        """Place an order that must come to rest; return its id."""
        status = self.place(coin, size, price, **options)
        assert "resting" in status, status
        return int(status["resting"]["oid"])

    @staticmethod
    def _status(answer: Any) -> Any:
        assert answer["status"] == "ok", answer
        (status,) = answer["response"]["data"]["statuses"]
        return status

    def open_oids(self) -> list[int]:
        return [order["oid"] for order in self.info.open_orders(self.address)]

    # -- streams ---------------------------------------------------------------------------------

    def subscribe(self, subscription: dict[str, Any]) -> "Frames":
        """Subscribe through the SDK's WebSocket manager and collect what its callback is given."""
        if self._stream is None:
            self._stream = _noted(Info(self.info.base_url), self._recorder)
            wait_until(lambda: self._stream.ws_manager.ws_ready)
        frames = Frames(subscription)
        kind = subscription["type"]
        with self._recorder.calling(SDK, f"Info.subscribe {kind}"):
            self._recorder.note_wire(SDK, (CHANNEL, kind))
            frames.number = self._stream.subscribe(subscription, frames.put)
        return frames

    def unsubscribe(self, frames: "Frames") -> None:
        assert self._stream.unsubscribe(frames.subscription, frames.number)


def _noted(client: Any, recorder: Recorder) -> Any:
    """Return one of the SDK's two objects with its calls noted, under the name of its class."""

    def note(response: Any, **_options: Any) -> None:
        body = response.request.body
        recorder.note_exchange(SDK, body, response.status_code, response.text)

    sessions = (
        [client.session, client.info.session] if hasattr(client, "info") else [client.session]
    )
    for session in sessions:
        session.hooks["response"].append(note)
    return recorder.watch(SDK, client, lambda name: f"{type(client).__name__}.{name}")


class Frames:
    """The frames that one subscription was given."""

    def __init__(self, subscription: dict[str, Any]) -> None:
        self.subscription = subscription
        self.number = 0
        self._frames: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def put(self, frame: Any) -> None:
        self._frames.put(frame)

    def next(self) -> Any:
        """Return the data of the next frame."""
        try:
            return self._frames.get(timeout=FRAME_SECONDS_MAX)["data"]
        except queue.Empty:
            raise AssertionError(f"no frame of {self.subscription}") from None

    def until(self, holds: Callable[[Any], bool]) -> Any:
        """Return the data of the first frame that holds; those before are passed over."""
        deadline = time.monotonic() + FRAME_SECONDS_MAX
        passed = []
        while time.monotonic() < deadline:
            with contextlib.suppress(AssertionError):
                data = self.next()
                if holds(data):
                    return data
                passed.append(data)
        raise AssertionError(f"no such frame of {self.subscription} among {passed}")


def wait_until(holds: Callable[[], bool], seconds_max: float = FRAME_SECONDS_MAX) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + seconds_max
    while not holds():
        assert time.monotonic() < deadline, "it never came to be so"
        time.sleep(0.01)
