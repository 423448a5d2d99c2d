"""The documents hold together: every link leads somewhere."""

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
LINK = re.compile(r"\[[^\]]*\]\((?P<target>[^)\s]+)\)")
HEADING = re.compile(r"^#+ +(?P<title>.+)$", re.MULTILINE)
FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


def documents() -> list[Path]:
    """List the pages a reader may start from."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def prose(page: Path) -> str:
    """Read a page without its code blocks, where brackets mean something else."""
    return FENCE.sub("", page.read_text(encoding="utf-8"))


def anchors(page: Path) -> set[str]:
    """Derive the anchors of a page's headings as the usual viewers do."""
    titles = (match["title"].lower() for match in HEADING.finditer(prose(page)))
    return {re.sub(r"[^\w\- ]", "", title).strip().replace(" ", "-") for title in titles}


def broken_links(page: Path) -> Iterator[str]:
    """Yield the links of a page that lead to no file or no heading."""
    for match in LINK.finditer(prose(page)):
        target, _, anchor = match["target"].partition("#")
        if "://" in target or target.startswith("mailto:"):
            continue
        goal = page.parent / target if target else page
        if not goal.exists() or (anchor and anchor not in anchors(goal)):
            yield f"{page.relative_to(ROOT)}: {match['target']}"


def test_links_lead_somewhere() -> None:
    """Each relative link in README and docs names a file, and its anchor a heading there."""
    assert [link for page in documents() for link in broken_links(page)] == []
