"""When a child is started again, how often and after what wait."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervision import Backoff, ExitKind, Restart, SpecError
from supervision.restarts import FailureStreak, RestartWindow, should_restart

TABLE = {
    Restart.PERMANENT: {ExitKind.NORMAL, ExitKind.SHUTDOWN, ExitKind.ABNORMAL},
    Restart.TRANSIENT: {ExitKind.ABNORMAL},
    Restart.TEMPORARY: set[ExitKind](),
}


@pytest.mark.parametrize("restart", Restart)
@pytest.mark.parametrize("kind", ExitKind)
def test_restart_table(restart: Restart, kind: ExitKind) -> None:
    """Each restart type restarts after exactly the exits of the table."""
    assert should_restart(restart, kind) == (kind in TABLE[restart])


def test_window_is_inclusive() -> None:
    """An attempt that is exactly one period old still counts; a little later it does not."""
    window = RestartWindow(intensity=1, period_seconds=5)

    assert window.admit(0.0)
    assert not window.admit(5.0)
    assert window.admit(10.001)


def test_no_intensity_admits_nothing() -> None:
    """With an intensity of 0 the first failure exceeds the budget."""
    assert not RestartWindow(intensity=0, period_seconds=5).admit(0.0)


@given(st.lists(st.floats(0, 100), max_size=40), st.integers(0, 4), st.floats(0.1, 20))
def test_window_equals_its_definition(times: list[float], intensity: int, period: float) -> None:
    """An attempt is admitted when at most that many attempts lie within the period before it."""
    window = RestartWindow(intensity=intensity, period_seconds=period)
    times.sort()

    for index, now in enumerate(times):
        recent = sum(time >= now - period for time in times[: index + 1])
        assert window.admit(now) == (recent <= intensity)


def test_backoff_doubles_up_to_its_bound() -> None:
    """The first restart is immediate, then the wait doubles until it reaches its bound."""
    backoff = Backoff(min_seconds=1, max_seconds=10, jitter=0)

    delays = [backoff.delay(failures, lambda: 0.5) for failures in range(1, 8)]

    assert delays == [0, 1, 2, 4, 8, 10, 10]


@given(st.integers(2, 10_000), st.floats(0, 1, exclude_max=True))
def test_backoff_stays_within_its_jitter(failures: int, draw: float) -> None:
    """A wait is never below the minimum nor above the bound and its jitter."""
    delay = Backoff(min_seconds=1, max_seconds=60, jitter=0.5).delay(failures, lambda: draw)

    assert 1 <= delay <= 90


def test_quiet_time_forgets_failures() -> None:
    """A child that ran for long enough starts over with an immediate restart."""
    streak = FailureStreak(Backoff(min_seconds=1, max_seconds=3, jitter=0))

    short = [streak.add(uptime=0.1, uniform=lambda: 0) for _ in range(3)]

    assert short == [0, 1, 2]
    assert streak.add(uptime=2.0, uniform=lambda: 0) == 0


def test_impossible_backoff_is_refused() -> None:
    """Waits in the wrong order and negative jitter are refused."""
    with pytest.raises(SpecError):
        Backoff(min_seconds=2, max_seconds=1)
    with pytest.raises(SpecError):
        Backoff(jitter=-1)
