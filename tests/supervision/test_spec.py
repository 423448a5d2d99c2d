"""Contradictions in a specification are refused before anything starts."""

from collections.abc import Callable

import pytest

from supervision import (
    Actor,
    AutoShutdown,
    Budget,
    ChildSpec,
    MailboxSpec,
    OnFull,
    PoolSpec,
    Restart,
    SpecError,
    Strategy,
    SupervisorSpec,
)


def child(id: str = "a", *, significant: bool = False) -> ChildSpec:
    return ChildSpec(id, Actor, restart=Restart.TRANSIENT, significant=significant)


@pytest.mark.parametrize(
    "make",
    [
        lambda: SupervisorSpec([child(), child()]),
        lambda: SupervisorSpec([child(significant=True)]),
        lambda: SupervisorSpec([], intensity=-1),
        lambda: SupervisorSpec([], period_seconds=0),
        lambda: SupervisorSpec([], strategy=Strategy.ONE_FOR_ALL, budget=Budget.PER_CHILD),
        lambda: ChildSpec("a", Actor, significant=True),
        lambda: ChildSpec("a/b", Actor),
        lambda: ChildSpec("", Actor),
        lambda: ChildSpec("a", Actor, shutdown_seconds=-1),
        lambda: ChildSpec("a", Actor, init_seconds=float("nan")),
        lambda: MailboxSpec(0),
        lambda: MailboxSpec(on_full=OnFull.CONFLATE),
        lambda: MailboxSpec(key=str),
        lambda: PoolSpec(start=lambda key: Actor(), capacity=0),
        lambda: PoolSpec(start=lambda key: Actor(), idle_seconds=0),
    ],
)
def test_contradictions_are_refused(make: Callable[[], object]) -> None:
    """A specification that cannot be meant raises SpecError."""
    with pytest.raises(SpecError):
        make()


def test_defaults_are_those_of_otp() -> None:
    """One restart in five seconds, one_for_one, permanent children, five seconds to stop."""
    spec = SupervisorSpec([ChildSpec("a", Actor)])

    assert (spec.intensity, spec.period_seconds) == (1, 5.0)
    assert spec.strategy is Strategy.ONE_FOR_ONE
    assert spec.auto_shutdown is AutoShutdown.NEVER
    assert spec.children[0].restart is Restart.PERMANENT
    assert spec.children[0].shutdown_seconds == 5.0
