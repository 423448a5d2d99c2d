import json
from pathlib import Path

from actors.telemetry import Telemetry
from actors.tracing import TRACEPARENT_LENGTH_MAX, open_tracing

SAMPLED = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
UNSAMPLED = SAMPLED[:-1] + "0"


def value(telemetry: Telemetry, name: str, **labels: str) -> float:
    found = telemetry.registry.get_sample_value(name, labels)
    assert found is not None, name
    return found


def test_the_chain_is_ready_or_lost() -> None:
    """Readiness and height follow what the sequencer says."""
    telemetry = Telemetry()
    before = telemetry.chain_is_ready
    telemetry.chain_ready(height=7, faucet_credits=3)
    telemetry.block_committed(commands=5, execute_seconds=0.001, commit_seconds=0.002)
    during = telemetry.chain_is_ready
    assert value(telemetry, "zaraba_height") == 8
    assert value(telemetry, "zaraba_faucet_credits") == 3
    telemetry.chain_lost(OSError("no space"))

    assert (before, during, telemetry.chain_is_ready) == (False, True, False)
    assert value(telemetry, "zaraba_chain_lost_total") == 1
    assert value(telemetry, "zaraba_commands_total") == 5


def test_two_programs_count_apart() -> None:
    """Nothing is shared by the process."""
    one, other = Telemetry(), Telemetry()
    one.input_refused("ws", "malformed")

    assert value(one, "zaraba_input_refused_total", place="ws", reason="malformed") == 1
    assert b"malformed" not in other.exposition()


def test_only_sampled_actions_are_traced(tmp_path: Path) -> None:
    """One JSON object a line, none for requests that did not ask or asked nonsense."""
    file = tmp_path / "traces.jsonl"
    telemetry = Telemetry(open_tracing(file))
    for header in (None, "", "nonsense", UNSAMPLED, "0" * TRACEPARENT_LENGTH_MAX * 2, SAMPLED):
        with telemetry.action_span("order", header):
            pass
    telemetry.close()
    spans = [json.loads(line) for line in file.read_text().splitlines()]

    assert [span["name"] for span in spans] == ["action order"]
    assert spans[0]["context"]["trace_id"] == "0x0af7651916cd43dd8448eb211c80319c"


def test_without_a_file_nothing_is_traced() -> None:
    """And closing is harmless."""
    telemetry = Telemetry()
    with telemetry.action_span("order", SAMPLED):
        pass
    telemetry.close()
