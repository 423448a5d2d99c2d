import json
import logging
from collections.abc import Callable

import pytest

from actors.carried import carried
from api.logs import KINDS_MAX, LINES_MAX, WINDOW_SECONDS, RateLimit, make_formatter

KEY = "0x" + "5f" * 32
SIGNATURE = {"r": "0x" + "a1" * 32, "s": "0x" + "b2" * 31, "v": 27}
ADDRESS = "0x" + "c3" * 20


class Step:
    traceparent = "00-" + "a" * 32 + "-" + "b" * 16 + "-01"


@pytest.fixture
def lines() -> tuple[logging.Logger, Callable[[str], str]]:
    """A logger of its own, and what it wrote in one form or the other."""
    records: list[logging.LogRecord] = []
    logger = logging.Logger("zaraba")  # noqa: LOG001  # nobody else is to hear of it
    keeper = logging.Handler()
    keeper.emit = records.append  # type: ignore[assignment,method-assign]  # the shortest way to keep them
    logger.addHandler(keeper)
    return logger, lambda form: "\n".join(make_formatter(form).format(one) for one in records)


Lines = tuple[logging.Logger, Callable[[str], str]]


def test_a_line_says_who_what_and_about_whom(lines: Lines) -> None:
    """Machines get an object on a line, with the facts that the record carries."""
    logger, written = lines
    token = carried.set(Step())  # type: ignore[arg-type]  # all that is asked of a step here
    try:
        logger.error("%s fell", "it", extra={"actor": "markets/3", "generation": 2, "other": 1})
    finally:
        line = written("json")
        carried.reset(token)

    event = json.loads(line)
    assert event.pop("timestamp").endswith("Z")
    assert event == {
        "event": "it fell",
        "level": "error",
        "logger": "zaraba",
        "actor": "markets/3",
        "generation": 2,
        "trace_id": "a" * 32,
    }


def test_a_traceback_is_part_of_its_line(lines: Lines) -> None:
    """An event is one line for machines however long its traceback; people see it below."""
    logger, written = lines
    try:
        raise ValueError("broken\nin two")
    except ValueError:
        logger.exception("it fell")

    assert "\n" not in written("json")
    assert "ValueError: broken" in json.loads(written("json"))["exception"]
    assert "\nValueError: broken" in written("console")


@pytest.mark.parametrize("form", ["json", "console"])
def test_secrets_are_cut_out(lines: Lines, form: str) -> None:
    """Keys and signatures are in no line: not as values, in reprs, as numbers or in tracebacks."""
    logger, written = lines
    try:
        raise ValueError(f"no good: {KEY} {SIGNATURE}")
    except ValueError:
        logger.exception("of %s: %r by %d", ADDRESS, SIGNATURE, int(KEY, 16))

    text = written(form)
    assert ADDRESS in text
    for secret in (KEY, KEY[2:], str(int(KEY, 16)), SIGNATURE["r"], SIGNATURE["s"]):
        assert str(secret) not in text


def test_what_repeats_itself_is_held_back_and_told_of() -> None:
    """A window lets so many lines of a kind through; others are not held back with them."""
    now = 0.0
    limit = RateLimit(lambda: now)

    def record(text: str, *values: object) -> logging.LogRecord:
        return logging.LogRecord("zaraba", logging.INFO, "", 0, text, values, None)

    passed = sum(limit.filter(record("it fell %d times", n)) for n in range(LINES_MAX + 7))
    other = limit.filter(record("something else"))
    now += WINDOW_SECONDS
    last = record("it fell %d times", 99)

    assert (passed, other, limit.filter(last)) == (LINES_MAX, True, True)
    assert last.getMessage() == "it fell 99 times (7 like it were left out)"


def test_the_table_of_kinds_is_bounded() -> None:
    """Texts that are never the same twice take no more room than KINDS_MAX of them."""
    limit = RateLimit()
    for number in range(KINDS_MAX * 2):
        limit.filter(logging.LogRecord("zaraba", logging.INFO, "", 0, f"{number}", (), None))

    assert len(limit._windows) == KINDS_MAX
