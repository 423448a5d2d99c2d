"""Which siblings share the fate of a failed child."""

from hypothesis import given
from hypothesis import strategies as st

from supervision import Strategy
from supervision.strategies import plan_restart

ORDER = ["a", "b", "c", "d"]


def test_one_for_one_touches_nobody_else() -> None:
    """Only the failed child is started, and nobody is stopped."""
    plan = plan_restart(Strategy.ONE_FOR_ONE, ORDER, "b")

    assert (plan.stop, plan.start) == ((), ("b",))


def test_rest_for_one_takes_the_later_ones() -> None:
    """Children started later are stopped in reverse and started again in order."""
    plan = plan_restart(Strategy.REST_FOR_ONE, ORDER, "b")

    assert (plan.stop, plan.start) == (("d", "c"), ("b", "c", "d"))


def test_one_for_all_takes_everybody() -> None:
    """All others are stopped in reverse and all are started again in order."""
    plan = plan_restart(Strategy.ONE_FOR_ALL, ORDER, "b")

    assert (plan.stop, plan.start) == (("d", "c", "a"), ("a", "b", "c", "d"))


@given(st.sampled_from(Strategy), st.integers(1, 8), st.data())
def test_stops_reverse_the_starts(strategy: Strategy, count: int, data: st.DataObject) -> None:
    """Whatever is stopped is started again, in the opposite order, and the failed child with it."""
    order = [str(index) for index in range(count)]
    failed = data.draw(st.sampled_from(order))

    plan = plan_restart(strategy, order, failed)

    assert [id for id in reversed(plan.start) if id != failed] == list(plan.stop)
    assert failed in plan.start
