from actors.telemetry import Telemetry


def value(telemetry: Telemetry, name: str, **labels: str) -> float:
    found = telemetry.registry.get_sample_value(name, labels)
    assert found is not None, name
    return found


async def test_the_chain_is_ready_or_lost() -> None:  # noqa: ASYNC124  # inside Trio
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


async def test_two_programs_count_apart() -> None:
    """Nothing is shared by the process."""
    one, other = Telemetry(), Telemetry()
    one.input_refused("ws", "malformed")

    assert value(one, "zaraba_input_refused_total", place="ws", reason="malformed") == 1
    assert b"malformed" not in (await other.expose()).body
