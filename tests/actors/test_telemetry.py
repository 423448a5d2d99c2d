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


def test_answers_are_counted_by_route_and_status() -> None:
    """Each counts once under its own labels, the first as well as those after it."""
    telemetry = Telemetry()
    for status in (200, 200, 429):
        telemetry.answered("/info", status, 0.5)
    for outcome in ("ok", "ok", "err"):
        telemetry.action_answered("order", outcome)

    assert value(telemetry, "zaraba_requests_total", route="/info", status="200") == 2
    assert value(telemetry, "zaraba_requests_total", route="/info", status="429") == 1
    assert value(telemetry, "zaraba_request_seconds_sum", route="/info") == 1.5
    assert value(telemetry, "zaraba_actions_total", action="order", outcome="ok") == 2
    assert value(telemetry, "zaraba_actions_total", action="order", outcome="err") == 1
