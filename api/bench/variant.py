"""The exchange with more or less telemetry, for `api.bench.telemetry`, and what stands around it.

    python -m api.bench.variant serve DATA off|metrics|RATE [URL]    until SIGTERM
    python -m api.bench.variant follow PORT COUNT                    until standard input ends
    python -m api.bench.variant collect                              until SIGTERM

Each prints a line when it is ready.
"""

from __future__ import annotations

import selectors
import signal
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec
import trio

from actors.measures import Durations, HopClock, ProcessClock
from actors.telemetry import Telemetry
from actors.trace_settings import TraceSettings
from api.bench.readers import connect
from api.interpreter import settle_heap, tune_interpreter
from api.program import Ground, open_program
from api.settings import Settings

FAUCET_USD: Final = 10_000_000
USD: Final = 1_000_000
CHANNELS: Final = ("trades", "bbo")
COIN: Final = "ETH"
OFF: Final = "off"
METRICS: Final = "metrics"


class _NoDurations(Durations):
    """Measures nothing."""

    def observe(self, *_: Any) -> None:
        """Do nothing."""


class _NoHops(HopClock):
    """Measures no hop."""

    def block_committed(self, *_: Any, **__: Any) -> None:
        """Do nothing."""

    def block_published(self, *_: Any) -> None:
        """Do nothing."""

    def executed(self, *_: Any) -> None:
        """Do nothing."""


class _NoProcess(ProcessClock):
    """Measures nothing of the process."""

    def start(self) -> None:
        """Do nothing."""


class Silent(Telemetry):
    """Counts and measures nothing of what happens often."""

    def __init__(self, _tracing: object = None) -> None:
        super().__init__(None)
        self.hops = _NoHops()
        for hop in self.hops.hops:
            self.hops.hops[hop] = _NoDurations()
        self.process = _NoProcess()

    def block_committed(self, *_: Any, **__: Any) -> None:
        """Do nothing; so it is with all below."""

    def answered(self, *_: Any) -> None:
        """See above."""

    def question_answered(self, *_: Any) -> None:
        """See above."""

    def action_answered(self, *_: Any) -> None:
        """See above."""

    def action_written(self, *_: Any) -> None:
        """See above."""


async def _serve(data: Path, variant: str, url: str | None) -> None:
    tune_interpreter()
    rate = 0.0 if variant in (OFF, METRICS) else float(variant)
    settings = Settings(
        data=data,
        port=0,
        faucet_usd=FAUCET_USD * USD,
        tracing=TraceSettings(otlp=url, rate=rate) if rate else TraceSettings(),
    )
    ground = Ground(telemetry=Silent if variant == OFF else Telemetry)
    with trio.open_signal_receiver(signal.SIGTERM) as signals:
        async with open_program(settings, ground=ground) as program:
            settle_heap()
            print(program.urls[0], flush=True)
            async for _ in signals:
                return


def _follow(port: int, count: int) -> None:
    """Follow a market over many connections, and read whatever comes."""
    selector = selectors.DefaultSelector()
    selector.register(sys.stdin, selectors.EVENT_READ)
    for _ in range(count):
        client = connect(port)
        for channel in CHANNELS:
            wanted = {"type": channel, "coin": COIN}
            text = msgspec.json.encode({"method": "subscribe", "subscription": wanted})
            client.sendall(bytes((0x81, 0x80 | len(text))) + bytes(4) + text)
        client.setblocking(False)
        selector.register(client, selectors.EVENT_READ)
    print("ready", flush=True)
    while True:
        for key, _ in selector.select():
            if key.fileobj is sys.stdin:
                return
            key.fileobj.recv(1 << 18)  # type: ignore[union-attr]  # a socket


class _Taker(BaseHTTPRequestHandler):
    """Takes spans and forgets them."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """Take one request."""
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def _collect() -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Taker) as server:
        print(f"http://127.0.0.1:{server.server_port}", flush=True)
        server.serve_forever()


def port_of(url: str) -> str:
    """Return the port of a URL as text."""
    return str(urlsplit(url).port)


def main(arguments: list[str]) -> None:
    """Be what the arguments say."""
    match arguments:
        case ["serve", data, variant, *url]:
            trio.run(_serve, Path(data), variant, url[0] if url else None)
        case ["follow", port, count]:
            _follow(int(port), int(count))
        case _:
            _collect()


if __name__ == "__main__":
    main(sys.argv[1:])
