"""The real program as a child process, and the plainest possible ways to talk to it.

What a test needs of a running exchange: start it on a free port with a data directory of its own,
wait until it is ready, ask it, fund accounts, kill or stop it, and show what it printed when
something went wrong. Only processes that were started here are ever signalled, by their id.
"""

import contextlib
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from importlib import resources
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from attrs import Factory, define, field, frozen

ROOT: Final = Path(__file__).parents[2]
START_SECONDS_MAX: Final = 60.0
STOP_SECONDS_MAX: Final = 5.0
"""The promise of the program: it is gone this long after SIGINT or SIGTERM."""
ANSWER_SECONDS_MAX: Final = 30.0
POLL_SECONDS: Final = 0.02

COMMAND: Final = (sys.executable, "-m", "api.cli")
TEST_HOOKS: Final = {"ZARABA_TEST_HOOKS": "1"}

SPARE_MARKETS: Final = 90
"""Markets beside the ordinary ones, so that each test may have a book that nobody else touches."""
SPARE_PRICE: Final = 2000
SPARE_LEVERAGE: Final = 25
SPARE_SIZE_DECIMALS: Final = 4

_URL = re.compile(r"http://127\.0\.0\.1:\d+")
_SAMPLE = re.compile(r"^(\w+)(?:\{(.*)\})? (\S+)$", re.MULTILINE)


class ProgramError(AssertionError):
    """The program did not do what a test needs it to do; the text holds what it printed."""


@frozen
class Answer:
    """What came back over HTTP."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    def json(self) -> Any:
        return json.loads(self.body)


@define(eq=False)
class Program:
    """One exchange.

    ``directory`` is its data directory, told by option unless the environment tells it; what it
    prints goes into a file beside it.
    """

    directory: Path
    arguments: Sequence[str] = ()
    environment: Mapping[str, str] = Factory(dict)
    command: Sequence[str] = (*COMMAND, "serve")
    url: str = field(init=False, default="")
    _process: subprocess.Popen[bytes] | None = field(init=False, default=None)
    _logs: list[Path] = field(init=False, factory=list)

    # -- life ------------------------------------------------------------------------------------

    def start(self, *, wait: bool = True) -> "Program":
        """Start it on a free port; return when it is ready, unless told not to wait."""
        assert self._process is None or self._process.poll() is not None, "it is still running"
        log = self.directory.parent / f"{self.directory.name}-{len(self._logs)}.log"
        self._logs.append(log)
        options = ["--bind", "127.0.0.1:0"]
        if "ZARABA_DATA" not in self.environment:
            options += ["--data", str(self.directory)]
        with log.open("wb") as file:
            self._process = subprocess.Popen(
                [*self.command, *options, *self.arguments],
                cwd=ROOT,
                env={**os.environ, "PYTHONUNBUFFERED": "1", **self.environment},
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        if wait:
            self.wait_ready()
        return self

    def wait_ready(self) -> None:
        """Wait until it says where it listens and that it is ready."""
        deadline = time.monotonic() + START_SECONDS_MAX
        while time.monotonic() < deadline:
            found = _URL.search(self.output())
            if found is not None:
                self.url = found.group()
                if self.is_ready():
                    return
            if (status := self.process.poll()) is not None:
                raise ProgramError(f"ended with {status} instead of starting:\n{self.output()}")
            time.sleep(POLL_SECONDS)
        raise ProgramError(f"not ready after {START_SECONDS_MAX} s:\n{self.output()}")

    def is_ready(self) -> bool:
        with contextlib.suppress(OSError, http.client.HTTPException):
            return self.request("GET", "/health/ready").status == 200
        return False

    def kill(self) -> None:
        """End it and its children as a power cut would, by SIGKILL."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def stop(self, number: signal.Signals = signal.SIGINT) -> int:
        """Ask it to stop; return its exit status.

        Raises:
            ProgramError: it was still there after STOP_SECONDS_MAX (and was killed).
        """
        self.process.send_signal(number)
        return self.wait_ended(STOP_SECONDS_MAX)

    def wait_ended(self, seconds_max: float = START_SECONDS_MAX) -> int:
        """Wait until it ends by itself; return its exit status."""
        try:
            return self.process.wait(seconds_max)
        except subprocess.TimeoutExpired:
            self.kill()
            raise ProgramError(f"still there after {seconds_max} s:\n{self.output()}") from None

    def end(self) -> None:
        """Make sure that nothing is left of it, however the test went."""
        if self._process is not None:
            self.kill()

    @property
    def process(self) -> subprocess.Popen[bytes]:
        assert self._process is not None, "it was never started"
        return self._process

    def output(self) -> str:
        """Return what its latest life has printed."""
        return self._logs[-1].read_text(errors="replace") if self._logs else ""

    # -- asking ----------------------------------------------------------------------------------

    @property
    def address(self) -> tuple[str, int]:
        parts = urlsplit(self.url)
        assert parts.hostname is not None
        assert parts.port is not None
        return parts.hostname, parts.port

    @property
    def ws_url(self) -> str:
        return f"ws{self.url.removeprefix('http')}/ws"

    def request(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send one HTTP request over a connection of its own."""
        connection = http.client.HTTPConnection(*self.address, timeout=ANSWER_SECONDS_MAX)
        with contextlib.closing(connection):
            connection.request(method, path, body, dict(headers or {}))
            response = connection.getresponse()
            return Answer(response.status, dict(response.getheaders()), response.read())

    def post(self, path: str, body: bytes, content_type: str = "application/json") -> Answer:
        """Send one POST."""
        return self.request("POST", path, body, {"Content-Type": content_type})

    def info(self, kind: str, **members: Any) -> Any:
        """Ask POST /info and return the answer's JSON."""
        answer = self.post("/info", json.dumps({"type": kind, **members}).encode())
        assert answer.status == 200, f"{kind}: {answer.status} {answer.text}"
        return answer.json()

    def exchange(self, body: bytes) -> Any:
        """Send a signed request to POST /exchange and return the answer's JSON."""
        answer = self.post("/exchange", body)
        assert answer.status == 200, f"{answer.status} {answer.text}"
        return answer.json()

    def metric(self, name: str, **labels: str) -> float:
        """Return the sum of a metric's samples that have these labels; 0 where there are none."""
        text = self.request("GET", "/metrics").text
        assert f"# TYPE {name} " in text, f"there is no metric {name}"
        wanted = [f'{key}="{value}"' for key, value in labels.items()]
        return sum(
            float(value)
            for sample, found, value in _SAMPLE.findall(text)
            if sample == name and all(label in found for label in wanted)
        )

    # -- what operators may ----------------------------------------------------------------------

    def admin(self, **request: Any) -> Any:
        """Send one request over the admin socket.

        Raises:
            ProgramError: it was refused.
        """
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(ANSWER_SECONDS_MAX)
            with _inside(self.directory):
                connection.connect("admin.sock")
            with connection.makefile("rwb") as stream:
                stream.write(json.dumps(request).encode() + b"\n")
                stream.flush()
                answer = json.loads(stream.readline())
        if "error" in answer:
            raise ProgramError(f"{request}: {answer['error']}")
        return answer["ok"]

    def fund(self, address: str, usd: int | str) -> None:
        """Credit an account."""
        self.admin(do="fund", account=address, usd=str(usd))

    def move_oracle(self, coin: str, price: int | str) -> None:
        """Set the oracle price of a market."""
        self.admin(do="oracle", coin=coin, price=str(price))

    def crash(self, actor: str) -> None:
        """Make an actor crash; needs the program to have been started with TEST_HOOKS."""
        self.admin(do="crash", actor=actor)


@contextlib.contextmanager
def _inside(directory: Path) -> Iterator[None]:
    """Work in a directory: the path of a Unix socket has at most 108 bytes, pytest's are longer."""
    before = Path.cwd()
    os.chdir(directory)
    try:
        yield
    finally:
        os.chdir(before)


@contextlib.contextmanager
def running(
    directory: Path,
    *arguments: str,
    environment: Mapping[str, str] | None = None,
    command: Sequence[str] = (*COMMAND, "serve"),
) -> Iterator[Program]:
    """Run an exchange for the length of a block."""
    program = Program(directory, arguments, environment or {}, command)
    try:
        yield program.start()
    finally:
        program.end()


def run_command(*arguments: str, seconds_max: float = 60.0) -> subprocess.CompletedProcess[str]:
    """Run ``zaraba`` with some arguments to its end."""
    return subprocess.run(
        [*COMMAND, *arguments],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=seconds_max,
        check=False,
    )


def write_config(path: Path, spares: int = SPARE_MARKETS) -> Path:
    """Write the default markets and so many more."""
    text = resources.files("api.config").joinpath("markets.toml").read_text("utf-8")
    tables = [
        f'[[markets]]\nname = "{spare_name(number)}"\nsize_decimals = {SPARE_SIZE_DECIMALS}\n'
        f'max_leverage = {SPARE_LEVERAGE}\nopening_price = "{SPARE_PRICE}"\n'
        for number in range(spares)
    ]
    path.write_text("\n".join((text, *tables)))
    return path


def spare_name(number: int) -> str:
    """Return the name of a spare market."""
    return f"SPARE{number}"
