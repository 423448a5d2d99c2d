"""What hooks are told, and which of it is an error."""

from typing import Any

import pytest
from trio.testing import MockClock, wait_all_tasks_blocked

from supervision import (
    Actor,
    ChildSpec,
    DeadLetter,
    Envelope,
    Event,
    ExitKind,
    Hooks,
    Report,
    Restart,
    SupervisorSpec,
    open_system,
)


def report(event: Event, kind: ExitKind | None = None) -> Report:
    return Report(event=event, at=0.0, supervisor="", child="a", kind=kind)


@pytest.mark.parametrize("event", set(Event) - {Event.CHILD_ENDED})
def test_starts_and_intended_ends_are_quiet(event: Event) -> None:
    """Everything but starts, stops and intended ends is an error."""
    quiet = event in {Event.STARTED, Event.STOPPED, Event.AUTO_SHUTDOWN}

    assert report(event).is_error != quiet


@pytest.mark.parametrize("kind", ExitKind)
def test_only_an_abnormal_end_is_an_error(kind: ExitKind) -> None:
    """An end is an error when it was abnormal."""
    assert report(Event.CHILD_ENDED, kind).is_error == (kind is ExitKind.ABNORMAL)


class Crash(Actor):
    """Crashes."""

    async def handle(self, message: Any) -> Any:
        raise ValueError(message)


async def test_crash_makes_one_report_with_its_cause(
    autojump_clock: MockClock, recorder: Any
) -> None:
    """A crash is reported once, with the exception itself and what was in hand."""
    spec = SupervisorSpec([ChildSpec("a", Crash)])
    async with open_system(spec, hooks=recorder) as system:
        system.address("a").tell("boom")
        await wait_all_tasks_blocked()

    [ended] = recorder.of(Event.CHILD_ENDED)
    assert isinstance(ended.cause, ValueError)
    assert ended.cause.__traceback__ is not None
    assert (ended.child, ended.generation, ended.in_hand) == ("a", 1, ("str",))
    assert (ended.restart, ended.supervisor) == (Restart.PERMANENT, "")


async def test_dead_letters_are_told(autojump_clock: MockClock) -> None:
    """Each message that reached nobody is told once, with where and why."""
    letters: list[DeadLetter] = []

    class Mourner(Hooks):
        def on_dead_letter(self, letter: DeadLetter) -> None:
            letters.append(letter)

    spec = SupervisorSpec([ChildSpec("a", Crash, restart=Restart.TEMPORARY)])
    async with open_system(spec, hooks=Mourner()) as system:
        for message in ("in hand", "waiting"):
            system.address("a").tell(message)
        await wait_all_tasks_blocked()

    assert [(letter.message, letter.reason.value) for letter in letters] == [
        ("in hand", "in hand"),
        ("waiting", "undelivered"),
    ]


class Broken(Hooks):
    """Raises wherever it can."""

    def on_report(self, report: Report) -> None:
        raise RuntimeError

    def capture(self) -> object:
        raise RuntimeError

    def handling(self, path: str, envelope: Envelope) -> None:
        raise RuntimeError

    def starting(self, path: str, generation: int) -> None:
        raise RuntimeError


class BrokenLate(Broken):
    """Likewise, where messages carry something."""

    def capture(self) -> object:
        return "trace"


class Echo(Actor):
    """Answers."""

    async def handle(self, message: Any) -> Any:
        return message


@pytest.mark.parametrize("hooks", [Broken, BrokenLate])
async def test_broken_hooks_harm_nobody(autojump_clock: MockClock, hooks: type[Hooks]) -> None:
    """A hook that raises is counted, and the tree works as without it."""
    async with open_system(SupervisorSpec([ChildSpec("a", Echo)]), hooks=hooks()) as system:
        assert await system.address("a").ask(1) == 1
        assert system.address("a").tell(2)
        await wait_all_tasks_blocked()

        assert system.registry.services.reporter.errors >= 4
        assert system.address("a").generation == 1
