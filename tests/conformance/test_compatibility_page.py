"""docs/compatibility.md says what the clients' tests saw. These run last, after a complete run."""

import difflib
import inspect

import pytest
from hyperliquid.exchange import Exchange
from hyperliquid.info import Info

from api.exchange.wire import UNSUPPORTED_TYPES
from api.info import ANSWERS
from api.subscriptions import COIN_CHANNELS, MARKET_CHANNELS, USER_CHANNELS
from api.wire.metadata import FIXED_ANSWERS
from tests.conformance.page import DIFFERENCES, PAGE, SURFACES, differences, render
from tests.conformance.record import ACTION, CHANNEL, INFO, Recorder
from tests.conformance.surface import CALLS, OUT_OF_SCOPE, UNUSED
from tests.conformance.wallets import SDK


@pytest.fixture(autouse=True)
def _after_success(recorder: Recorder) -> None:
    if recorder.failures:
        pytest.skip("tests before this one failed; what they saw is no page")


def public_methods(kind: type) -> set[str]:
    """Return the calls that a class of the Python SDK offers."""
    methods = inspect.getmembers(kind, inspect.isfunction)
    return {f"{kind.__name__}.{name}" for name, _ in methods if not name.startswith("_")}


def test_every_call_was_made(recorder: Recorder) -> None:
    """Each call of each client was made by some test, or stands among those that are left alone."""
    expected = {client: set(calls) for client, calls in CALLS.items()}
    expected[SDK] = public_methods(Info) | public_methods(Exchange)

    missing = {
        client: calls
        - {call for call, _verdict in recorder.rows_of(client)}
        - {call for unused in UNUSED.get(client, ()) for call in unused.calls}
        for client, calls in expected.items()
    }

    assert {client: calls for client, calls in missing.items() if calls} == {}


def test_every_type_was_asked(recorder: Recorder) -> None:
    """Each type that clients know, and each that the program knows, went over the wire."""
    offered = {
        INFO: set(ANSWERS) | set(FIXED_ANSWERS),
        ACTION: set(UNSUPPORTED_TYPES),
        CHANNEL: COIN_CHANNELS | MARKET_CHANNELS | USER_CHANNELS,
    }
    missing = {
        (kind, name)
        for kind, surface in SURFACES.items()
        for name in {name for names in surface.values() for name in names} | offered[kind]
        if (kind, name) not in recorder.wires
    }

    assert missing == set()


def test_nothing_of_the_first_tier_is_refused(recorder: Recorder) -> None:
    """The tier on which clients stand is served; what is out of scope is not, by mistake."""
    for kind, surface in SURFACES.items():
        for name in surface[OUT_OF_SCOPE]:
            assert max(recorder.wires[kind, name].values()).name == "REFUSED", name


def test_differences_are_of_known_types() -> None:
    """Who notes a difference notes it for a type that there is."""
    for kind, notes in differences().items():
        known = {name for names in SURFACES[kind].values() for name in names}
        assert notes.keys() <= known, DIFFERENCES.name


def test_page(recorder: Recorder, pytestconfig: pytest.Config) -> None:
    """The page is what this run saw, to the letter; ``make compatibility`` writes it."""
    seen = render(recorder)
    if pytestconfig.getoption("--write-compatibility", default=False):
        PAGE.write_text(seen, encoding="utf-8")

    page = PAGE.read_text(encoding="utf-8")
    changes = difflib.unified_diff(page.splitlines(), seen.splitlines(), "committed", "seen", n=0)
    assert list(changes) == []
