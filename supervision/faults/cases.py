"""One case of a search: how it is named, printed and run again.

A case is a scenario, the step or steps struck, and what fixed the order of tasks. Its text form
stands in every failure, inside a line to paste. The variable ``FAULTS`` holds such a text; a sweep
or search of the scenario that it names runs that case first, and goes on only if it passes.
"""

import os
import shlex
import traceback
from collections.abc import Callable

import attrs

VARIABLE = "FAULTS"
"""Environment variable with the case to run again."""


class SweepError(AssertionError):
    """A scenario broke under a fault. ``__cause__`` is how; the text says how to repeat it."""


Departures = tuple[tuple[int, int], ...]
"""An order of tasks, by its departures from the fair one: at which choice, which task."""


@attrs.frozen
class Case:
    """What to run: "name step=17 seed=5", "name step=3+9", "name search=order order=4:1+9:2".

    Attributes:
        name: of the scenario.
        steps: steps to strike at; empty for none.
        seed: of the order of tasks; None when nothing fixed it.
        order: the order of tasks, if it was chosen one by one.
        search: which search the case belongs to; "" for a plain sweep or plain seeds.
    """

    name: str
    steps: tuple[int, ...] = ()
    seed: int | None = None
    order: Departures | None = None
    search: str = ""

    def __str__(self) -> str:
        """Return the text form."""
        parts = [self.name]
        if self.search:
            parts.append(f"search={self.search}")
        if self.steps:
            parts.append("step=" + "+".join(map(str, self.steps)))
        if self.seed is not None:
            parts.append(f"seed={self.seed}")
        if self.order:
            parts.append("order=" + "+".join(f"{at}:{index}" for at, index in self.order))
        return " ".join(parts)

    @staticmethod
    def parse(text: str) -> "Case":
        """Return the case of a text form.

        Raises:
            ValueError: it is not one.
        """
        name, *parts = text.split()
        facts = dict(part.split("=", 1) for part in parts)
        if unknown := set(facts) - {"step", "seed", "order", "search"}:
            raise ValueError(f"{text!r} says {', '.join(sorted(unknown))}, which is nothing here")
        return Case(
            name,
            tuple(int(step) for step in _listed(facts, "step")),
            int(facts["seed"]) if "seed" in facts else None,
            tuple(_departure(text) for text in _listed(facts, "order")) or None,
            facts.get("search", ""),
        )


def _listed(facts: dict[str, str], key: str) -> list[str]:
    return facts[key].split("+") if key in facts else []


def _departure(text: str) -> tuple[int, int]:
    at, _, index = text.partition(":")
    return int(at), int(index)


def wanted(name: str, search: str) -> Case | None:
    """Return the case that the environment asks for, if it is one of this scenario and search."""
    text = os.environ.get(VARIABLE, "").strip()
    if not text:
        return None
    case = Case.parse(text)
    return case if case.name == name and case.search == search else None


def broken(case: Case, where: str, error: BaseException, pytest_args: str = "") -> SweepError:
    """Return the error to raise ``from`` what went wrong in a case."""
    struck = f" when struck at step {'+'.join(map(str, case.steps))}" if case.steps else ""
    place = f", in {where}" if where else ""
    reason = "".join(traceback.format_exception_only(error)).strip().splitlines()[0]
    return SweepError(f"{case.name} broke{struck}{place}: {reason}\n  {repeat(case, pytest_args)}")


def repeat(case: Case, pytest_args: str = "") -> str:
    """Return the line that runs a case again."""
    setting = f"{VARIABLE}={shlex.quote(str(case))}"
    node, _, _ = os.environ.get("PYTEST_CURRENT_TEST", "").rpartition(" (")
    if not node:
        return f"repeat with {setting} in the environment of the same command"
    words = ["python", "-m", "pytest", *shlex.split(pytest_args), node]
    return f"repeat with: {setting} {shlex.join(words)}"


def name_of(scenario: Callable[..., object]) -> str:
    """Return a name for a scenario without blanks: of the function inside any partials."""
    inner: object = scenario
    while (function := getattr(inner, "func", None)) is not None:
        inner = function
    return str(getattr(inner, "__name__", type(inner).__name__)).replace(" ", "_")
