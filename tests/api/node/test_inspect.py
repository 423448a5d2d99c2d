"""``zaraba generate`` and ``zaraba inspect``: files from a seed, and what is seen in them."""

import json
from pathlib import Path
from typing import Any

import pytest

from actors.node.tail import list_files
from api.cli import main
from model.node.lines import Form, Stream, folder_of

SMALL = ("--blocks", "60", "--coins", "5", "--orders", "100", "--changes", "6", "--rejections", "4")


def generate(root: Path, form: Form = Form.BLOCK, *more: str) -> None:
    """Make files."""
    assert main(["generate", str(root), "--form", form.value, *SMALL, *more]) == 0


def inspect(capsys: pytest.CaptureFixture[str], root: Path, what: str, coin: str = "BTC") -> Any:
    """Return the exit status and the lines that are printed."""
    capsys.readouterr()
    snapshot = str(root / "snapshot.json")
    status = main(["inspect", f"node:{root}", "--snapshot", snapshot, "--coin", coin, what])
    return status, [json.loads(line) for line in capsys.readouterr().out.splitlines()]


@pytest.mark.parametrize("form", Form)
@pytest.mark.parametrize("coin", ["BTC", "ETH"])
def test_best_prices_equal_the_truth(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], form: Form, coin: str
) -> None:
    """Each block that changed the coin's book has a line, and it is the truth."""
    generate(tmp_path / "node", form)
    truth = (tmp_path / "node" / "truth" / f"{coin}.jsonl").read_text().splitlines()

    status, lines = inspect(capsys, tmp_path / "node", "--bbo", coin)

    assert status == 0
    assert lines == [json.loads(line) for line in truth]


def test_same_seed_same_files(tmp_path: Path) -> None:
    """What is made follows from the seed alone."""
    for name in ("a", "b"):
        generate(tmp_path / name, Form.STREAMING, "--odd", "all", "--every", "7")

    trees = [
        {path.relative_to(root): path.read_bytes() for path in root.rglob("*") if path.is_file()}
        for root in (tmp_path / "a", tmp_path / "b")
    ]
    assert trees[0] == trees[1]


def test_whole_book(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The book at the end begins with the best prices of the last line."""
    generate(tmp_path / "node")
    _, best = inspect(capsys, tmp_path / "node", "--bbo")

    status, (book,) = inspect(capsys, tmp_path / "node", "--book")

    assert status == 0
    assert book["height"] == best[-1]["height"]
    assert [side[0] for side in book["levels"]] == [best[-1]["bid"], best[-1]["ask"]]


def test_check_of_a_missing_block(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A gap is reported with its height, lines after it are doubted, and so is the exit status."""
    generate(tmp_path / "node")
    ((_, path),) = list_files(tmp_path / "node" / folder_of(Stream.DIFFS, Form.BLOCK))
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:20] + lines[21:]))
    gone = json.loads(lines[20])["block_number"]

    status, found = inspect(capsys, tmp_path / "node", "--check")
    _, best = inspect(capsys, tmp_path / "node", "--bbo")

    assert status == 1
    assert any(f"missing: {gone}" in finding.get("what", "") for finding in found)
    assert found[-1]["whole"] is False
    assert all(("doubt" in line) == (line["height"] > gone) for line in best)


def test_check_of_good_files_finds_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Files without oddities are reported as such, in one line."""
    generate(tmp_path / "node")

    status, (summary,) = inspect(capsys, tmp_path / "node", "--check")

    assert status == 0
    assert (summary["blocks"], summary["whole"]) == (60, True)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["inspect", "journal:x", "--snapshot", "x", "--coin", "BTC", "--bbo"], 2),
        (["inspect", "node:/nowhere", "--snapshot", "/nowhere", "--coin", "BTC", "--bbo"], 65),
        (["generate", "/tmp", "--blocks", "1"], 73),
        (["generate", "/nowhere/x", "--odd", "party"], 2),
        (["serve", "--source", "node:/nowhere"], 2),
        (["serve", "--source", "/nowhere", "--snapshot", "x"], 2),
    ],
)
def test_what_cannot_be_done(arguments: list[str], expected: int) -> None:
    """Mistakes of an operator end with a sentence and a status, not with a traceback."""
    assert main(arguments) == expected
