"""The running exchange of each module of conformance tests, its users, and what they did there.

The hooks below note what the clients did while the tests run (`record.py`). The last test of a
complete run compares that with docs/compatibility.md, or writes it: ``--write-compatibility``.
"""

from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from tests.conformance.ccxt_users import CcxtUser, ProUser
from tests.conformance.record import Recorder, Result
from tests.conformance.wallets import Wallet
from tests.program.harness import TEST_HOOKS, Program, spare_name, write_config

HERE: Final = Path(__file__).parent
RECORDER: Final = pytest.StashKey[Recorder]()
PARTIAL: Final = pytest.StashKey[bool]()
LAST: Final = "test_compatibility_page.py"


# ---- the exchange and its users ----------------------------------------------------------------

SPARE_MARKETS: Final = 70
"""Perpetuals of a module that none of its tests shares with another, unless it wants to."""
REQUESTS: Final = "requests_per_address = "


@pytest.fixture(scope="session")
def markets_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The default settings with spare perpetuals, and Hyperliquid's allowance of requests."""
    path = write_config(tmp_path_factory.mktemp("config") / "markets.toml", SPARE_MARKETS)
    text = path.read_text(encoding="utf-8")
    assert f"{REQUESTS}0" in text
    path.write_text(text.replace(f"{REQUESTS}0", f"{REQUESTS}10000"), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def exchange(tmp_path_factory: pytest.TempPathFactory, markets_file: Path) -> Iterator[Program]:
    """An exchange for the tests of a module, without demo and faucet."""
    program = Program(
        tmp_path_factory.mktemp("exchange") / "data",
        ("--config", str(markets_file)),
        environment=TEST_HOOKS,
    )
    try:
        yield program.start()
    finally:
        program.end()


@pytest.fixture(scope="module")
def _spare_numbers() -> Iterator[int]:
    return iter(range(SPARE_MARKETS))


@pytest.fixture
def coin(_spare_numbers: Iterator[int]) -> str:
    """The name of a market that no other test of the module uses."""
    return spare_name(next(_spare_numbers))


@pytest.fixture
def asset(exchange: Program, coin: str) -> int:
    """The asset id of `coin`."""
    names = [market["name"] for market in exchange.info("meta")["universe"]]
    return names.index(coin)


@pytest.fixture
def symbol(coin: str) -> str:
    """What ccxt calls `coin`."""
    return f"{coin}/USDC:USDC"


@pytest.fixture
def open_wallet(exchange: Program, recorder: Recorder) -> Iterator[Callable[..., Wallet]]:
    """Return a function that makes a funded wallet of the Python SDK; closed afterwards."""
    opened: list[Wallet] = []

    def make(usd: int | str = 10_000, **options: object) -> Wallet:
        wallet = Wallet.open(exchange, usd, recorder=recorder, **options)  # type: ignore[arg-type]
        opened.append(wallet)
        return wallet

    yield make
    for wallet in opened:
        wallet.close()


@pytest.fixture
def open_ccxt(exchange: Program, recorder: Recorder) -> Iterator[Callable[..., Any]]:
    """Return a function that makes a funded user of ccxt; closed afterwards."""
    opened: list[CcxtUser] = []

    def make(usd: int | str = 10_000, **options: Any) -> Any:
        user = CcxtUser.open(exchange, recorder, usd, **options)
        opened.append(user)
        return user

    yield make
    for user in opened:
        user.close()


@pytest.fixture
def open_pro(exchange: Program, recorder: Recorder) -> Callable[..., ProUser]:
    """Return a function that makes a funded user of ccxt.pro, to be used with ``async with``."""

    def make(usd: int | str = 10_000, **options: Any) -> ProUser:
        return ProUser.open(exchange, recorder, usd, **options)

    return make


# ---- what the clients did ----------------------------------------------------------------------


@pytest.fixture
def recorder(pytestconfig: pytest.Config) -> Recorder:
    """The notes of this session."""
    return pytestconfig.stash[RECORDER]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--write-compatibility",
        action="store_true",
        help="write docs/compatibility.md as this run of all conformance tests saw it",
    )


def pytest_configure(config: pytest.Config) -> None:
    config.stash[RECORDER] = Recorder()
    config.stash[PARTIAL] = any("::" in argument for argument in config.args)
    config.addinivalue_line(
        "markers", "shows(client, call): the test shows this use of a call; a line of its own"
    )
    config.addinivalue_line(
        "markers", "explained(reason): calls that raise in this test are refused for this reason"
    )


def pytest_deselected(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents and item.path.name != LAST:
            item.config.stash[PARTIAL] = True


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put the comparison with the page last; leave it out where not all was selected."""
    last = [item for item in items if item.path == HERE / LAST]
    found = {item.path for item in items if item.path.parent == HERE}
    complete = found == set(HERE.glob("test_*.py")) and not config.stash[PARTIAL]
    items[:] = [item for item in items if item not in last]
    if complete:
        items.extend(last)
    elif last:
        config.hook.pytest_deselected(items=last)


def pytest_runtest_setup(item: pytest.Item) -> None:
    recorder = item.config.stash[RECORDER]
    recorder.begin()
    for mark in item.iter_markers("shows"):
        recorder.note_call(*mark.args)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    recorder = item.config.stash[RECORDER]
    explained = item.get_closest_marker("explained")
    if report.passed and report.when != "setup":
        if explained is None or report.when == "teardown":
            recorder.end(Result.GREEN)
        else:
            recorder.end(Result.REFUSED, str(explained.args[0]))
    elif report.skipped and hasattr(report, "wasxfail"):
        recorder.end(Result.NOT_YET, report.wasxfail.removeprefix("reason: "))
    elif report.failed:
        recorder.end(Result.FAILED)
    return report
