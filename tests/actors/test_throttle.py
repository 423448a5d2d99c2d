"""Throttles: seldom enough, and the last change is always seen."""

from actors.throttle import Throttle


def test_whoever_waited_as_told_is_in_time() -> None:
    """Adding the wait to the time of the question rounds; the result is due all the same."""
    for tenths in range(1, 5_000):
        throttle = Throttle(0.2)
        shown_at = tenths / 10
        throttle.change()
        assert throttle.is_due(shown_at)
        throttle.change()
        asked_at = shown_at + 0.07
        assert throttle.is_due(asked_at + throttle.wait_seconds(asked_at))


def test_a_change_is_shown_once_and_not_too_soon() -> None:
    """A second change has to wait for the rest of the interval, and nothing is shown unchanged."""
    throttle = Throttle(0.2)
    throttle.change()
    assert throttle.is_due(1.0)
    assert not throttle.is_due(9.0)
    throttle.change()
    assert throttle.is_due(10.0)
    throttle.change()
    assert not throttle.is_due(10.1)
    assert throttle.is_due(10.2)


def test_what_repeats_is_shown_unchanged() -> None:
    """Without a change it comes again after the longer interval."""
    throttle = Throttle(0.2, 5.0)
    throttle.change()
    assert throttle.is_due(1.0)
    assert not throttle.is_due(5.9)
    assert throttle.is_due(6.0)
