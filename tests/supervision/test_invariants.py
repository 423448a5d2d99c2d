"""The witness of the sweeps sees each kind of broken promise: mistakes planted on purpose."""

from collections.abc import Callable
from functools import partial

import pytest
import trio

from supervision import Exit, Strategy, mailbox, restarts, run, settlement, supervisor
from supervision.envelope import Reply
from supervision.faults import SweepError, raising, sweep
from tests.supervision import test_sweeps as scenarios

Plant = Callable[[pytest.MonkeyPatch], None]


def stop_in_order(patch: pytest.MonkeyPatch) -> None:
    """Stop the first child first."""
    patch.setattr(supervisor, "reversed", lambda items: items, raising=False)


def allow_one_more(patch: pytest.MonkeyPatch) -> None:
    """Count one restart too few."""
    admit = restarts.RestartWindow.admit
    patch.setattr(
        restarts.RestartWindow,
        "admit",
        lambda self, now: admit(self, now) or len(self) == self.intensity + 1,
    )


def lose_a_message(patch: pytest.MonkeyPatch) -> None:
    """Forget what was in hand."""
    patch.setattr(settlement.Settlement, "settle", lambda self, in_hand: None)


def redeliver_to_the_back(patch: pytest.MonkeyPatch) -> None:
    """Let others overtake a message that is handled again."""
    patch.setattr(mailbox.Mailbox, "push_front", lambda self, envelope: self.user.append(envelope))


def redeliver_for_ever(patch: pytest.MonkeyPatch) -> None:
    """Never call a message poison."""
    patch.setattr(settlement, "ATTEMPTS_MAX", 100)


def restart_everything(patch: pytest.MonkeyPatch) -> None:
    """Restart also what ended for good."""
    patch.setattr(supervisor, "should_restart", lambda restart, kind: True)


def leave_out_the_clean_up(patch: pytest.MonkeyPatch) -> None:
    """Go on without what the actor would do at its end."""

    async def hasty(self: run.ScopedRun, exit: Exit) -> Exit:
        await trio.lowlevel.checkpoint()
        return exit

    patch.setattr(run.ScopedRun, "_clean_up_in_scope", hasty)


def answer_another(patch: pytest.MonkeyPatch) -> None:
    """Give an asker somebody else's answer."""
    answer = Reply.answer
    patch.setattr(Reply, "answer", lambda self, value: answer(self, 99))


def let_messages_go_while_waiting(patch: pytest.MonkeyPatch) -> None:
    """Lose what is queued when a child waits to be restarted."""
    patch.setattr(supervisor, "hold_subtree", lambda cell, retry_at: cell.mailbox.user.clear())


PLANTED: list[tuple[Plant, scenarios.Act]] = [
    (stop_in_order, scenarios.talk),
    (allow_one_more, scenarios.give_up),
    (lose_a_message, scenarios.crash),
    (redeliver_to_the_back, scenarios.crash),
    (redeliver_for_ever, scenarios.crash),
    (restart_everything, scenarios.end_by_themselves),
    (leave_out_the_clean_up, scenarios.talk),
    (answer_another, scenarios.talk),
    (let_messages_go_while_waiting, scenarios.back_off),
]


def name_of(parameter: object) -> str:
    return str(getattr(parameter, "__name__", parameter))


@pytest.mark.parametrize(("plant", "act"), PLANTED, ids=name_of)
def test_planted_mistake_is_seen(
    plant: Plant, act: scenarios.Act, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sample of one sweep is enough to find it; without it the same sample passes."""
    scenario = partial(scenarios.play, act=act, strategy=Strategy.REST_FOR_ONE, kind="raise")
    strike = raising(scenarios.InjectedError)
    sample = partial(sweep, scenario, seed=1, runs_max=20, strike=strike, where=scenarios.in_actors)
    sample()

    plant(monkeypatch)
    with pytest.raises(SweepError):
        sample()
