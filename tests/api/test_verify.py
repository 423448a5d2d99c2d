from actors.journal_file import Head
from actors.recovery import VerifyReport
from api.verify import verdict
from tests.actors.chains import chain


def test_damage_behind_the_last_block_is_told() -> None:
    """Who verifies a journal that the next start would have to mend reads what is wrong with it."""
    ((block, _),) = chain([1])
    head = Head(1, block.digest, block.time_ms)
    damaged = VerifyReport(head, 1, bytes(32), (), "the write-ahead log is damaged")

    lines = verdict(damaged, 0.1)

    assert any("the write-ahead log is damaged" in line for line in lines)
    assert lines[-1] != verdict(VerifyReport(head, 1, bytes(32), ()), 0.1)[-1]
