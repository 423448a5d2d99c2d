"""What the tests note and how they judge it, so that the page of compatibility can be believed."""

from typing import Any

import pytest

from tests.conformance.record import ACTION, CHANNEL, INFO, Recorder, Result, Row, wire_of
from tests.conformance.shapes import dec, either, misfits, null_or, sdec

ORDER = {"action": {"type": "order"}, "nonce": 1}


class Client:
    """Something with methods, one of which sends a request."""

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder

    def place(self) -> str:
        self.recorder.note_exchange("client", ORDER, 200, "")
        return "placed"

    def fail(self) -> None:
        raise ValueError

    async def wait(self) -> str:
        return "waited"


async def test_calls_are_noted_and_do_what_they_do() -> None:
    """A watched object answers as it would, and what it sent stands beside the call."""
    recorder = Recorder()
    recorder.begin()
    client = recorder.watch("client", Client(recorder), str.upper)

    assert (client.place(), await client.wait()) == ("placed", "waited")
    recorder.end(Result.GREEN)

    assert recorder.rows[Row("client", "PLACE")].wires == {(ACTION, "order")}
    assert recorder.rows[Row("client", "WAIT")].result is Result.GREEN
    assert recorder.wires[ACTION, "order"] == {"client": Result.GREEN}


def test_only_what_raised_is_refused() -> None:
    """In a test that explains a refusal the rest worked."""
    recorder = Recorder()
    recorder.begin()
    client = recorder.watch("client", Client(recorder))
    client.place()
    with pytest.raises(ValueError):
        client.fail()
    recorder.end(Result.REFUSED, "out of scope")

    assert recorder.rows[Row("client", "place")].result is Result.GREEN
    refused = recorder.rows[Row("client", "fail")]
    assert (refused.result, refused.reason) == (Result.REFUSED, "out of scope")


@pytest.mark.parametrize(
    ("results", "expected"),
    [
        ((Result.NOT_YET, Result.GREEN), Result.GREEN),
        ((Result.GREEN, Result.NOT_YET), Result.GREEN),
        ((Result.REFUSED, Result.NOT_YET), Result.REFUSED),
        ((Result.GREEN, Result.FAILED, Result.GREEN), Result.FAILED),
    ],
)
def test_the_verdict_of_several_tests(results: tuple[Result, ...], expected: Result) -> None:
    """One use that works is enough, but no failure is hidden."""
    recorder = Recorder()
    for result in results:
        recorder.begin()
        recorder.note_call("client", "call")
        if result is Result.REFUSED:
            recorder.note_refusal()
        recorder.end(result, "why")

    assert recorder.rows[Row("client", "call")].result is expected


def test_a_refused_request_is_one_that_there_is_not() -> None:
    """Status 422 and the text for actions say so; a refused order is still an order."""
    recorder = Recorder()
    recorder.begin()
    recorder.note_exchange("client", {"type": "vaultDetails"}, 422, "Failed to ...")
    recorder.note_exchange("client", ORDER, 200, '{"error":"Order has zero size. asset=1"}')
    recorder.end(Result.GREEN)

    assert recorder.wires[INFO, "vaultDetails"] == {"client": Result.REFUSED}
    assert recorder.wires[ACTION, "order"] == {"client": Result.GREEN}


@pytest.mark.parametrize(
    ("body", "wire"),
    [
        (b'{"type":"meta"}', (INFO, "meta")),
        (ORDER, (ACTION, "order")),
        ({"method": "subscribe", "subscription": {"type": "bbo"}}, (CHANNEL, "bbo")),
        (
            {"method": "post", "id": 1, "request": {"type": "action", "payload": ORDER}},
            (ACTION, "order"),
        ),
        ({"method": "ping"}, None),
        ("no JSON", None),
        (None, None),
    ],
)
def test_kinds_of_requests(body: object, wire: object) -> None:
    """A body tells what it asks for, over HTTP and over the socket."""
    assert wire_of(body) == wire


@pytest.mark.parametrize(
    ("value", "form", "fits"),
    [
        ({"a": "1.0"}, {"a": dec}, True),
        ({"a": "1.0"}, {"a": dec, "b?": dec}, True),
        ({"a": "1.0"}, {"a": dec, "b": dec}, False),
        ({"a": "1.0", "c": 1}, {"a": dec}, False),
        ([["1.0", "2.0"]], [(dec, dec)], True),
        ([["1.0"]], [(dec, dec)], False),
        ("1.50", dec, False),
        ("1", dec, False),
        ("-1.5", dec, False),
        ("-1.5", sdec, True),
        ("-0.0", sdec, False),
        (None, null_or(dec), True),
        ({"x": 1}, either({"x": 2}, {"x": 1}), True),
    ],
)
def test_forms(value: Any, form: Any, fits: bool) -> None:
    """An answer fits its form exactly or not at all."""
    assert (misfits(value, form) == []) is fits
