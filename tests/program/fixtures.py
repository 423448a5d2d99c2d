"""The running programs that tests share, and those they have to themselves."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.program.harness import SPARE_MARKETS, TEST_HOOKS, Program, spare_name, write_config


@pytest.fixture(scope="session")
def markets_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A settings file with the ordinary markets and many more."""
    return write_config(tmp_path_factory.mktemp("config") / "markets.toml")


@pytest.fixture(scope="session")
def exchange(tmp_path_factory: pytest.TempPathFactory, markets_file: Path) -> Iterator[Program]:
    """An exchange, without demo and faucet, for tests with wallets and markets of their own."""
    program = Program(
        tmp_path_factory.mktemp("exchange") / "data",
        ("--config", str(markets_file)),
        environment=TEST_HOOKS,
    )
    try:
        yield program.start()
    finally:
        program.end()


@pytest.fixture(scope="session")
def _spare_numbers() -> Iterator[int]:
    return iter(range(SPARE_MARKETS))


@pytest.fixture
def coin(exchange: Program, _spare_numbers: Iterator[int]) -> str:
    """The name of a market of `exchange` that no other test uses."""
    del exchange
    return spare_name(next(_spare_numbers))


@pytest.fixture
def asset(exchange: Program, coin: str) -> int:
    """The asset id of `coin`."""
    names = [market["name"] for market in exchange.info("meta")["universe"]]
    return names.index(coin)


@pytest.fixture
def programs(tmp_path: Path) -> Iterator[Callable[..., Program]]:
    """Return a function that makes programs to start, stop and break; none outlives the test."""
    made: list[Program] = []

    def make(*arguments: str, data: Path | None = None, **options: object) -> Program:
        program = Program(data or tmp_path / "data", arguments, **options)  # type: ignore[arg-type]
        made.append(program)
        return program

    yield make
    for program in made:
        program.end()
