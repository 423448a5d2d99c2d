from collections.abc import Callable

import pytest

from tests.program.harness import Program
from tests.program.smoke import trade_once, wait_ready

pytestmark = pytest.mark.program


def test_a_demo_is_traded_on_once(programs: Callable[..., Program]) -> None:
    """What is tried on a built image works on the program itself."""
    program = programs("--demo").start()
    wait_ready(program.url)

    assert trade_once(program.url).endswith("was cancelled")
    assert program.stop() == 0
