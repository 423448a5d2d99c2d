"""The documents hold together, and say of the program what the program says of itself.

Code is named in them as `path` or `path:name`. Lists that claim to be complete (questions, actions,
channels, refusals, metrics, exit statuses, variables) are compared with the program's own tables.
"""

import ast
import re
from collections.abc import Iterator, Mapping
from contextlib import redirect_stdout, suppress
from functools import cache
from io import StringIO
from pathlib import Path
from typing import Any, get_args

import pytest

from actors.channels import POLICIES
from actors.storage import Report
from actors.telemetry import Telemetry
from api import cli, serve, verify
from api.exchange.wire import UNSUPPORTED_TYPES, Action
from api.info import ANSWERS
from api.node.gateway import NodeGateway
from api.node.program import watch_node_gauges
from api.program import open_program
from api.settings import Settings, settings_from_environment
from api.subscriptions import COIN_CHANNELS, MARKET_CHANNELS, USER_CHANNELS
from api.wire.metadata import FIXED_ANSWERS
from model.refusals import WIRE
from supervision import Registry

ROOT = Path(__file__).parents[2]
LINK = re.compile(r"\[[^\]]*\]\((?P<target>[^)\s]+)\)")
HEADING = re.compile(r"^#+ +(?P<title>.+)$", re.MULTILINE)
FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
SPAN = re.compile(r"`([^`\n]+)`")
PLACE = re.compile(
    r"(?P<path>(?:model|supervision|actors|api|tests|docs)/[\w./-]*)(?::(?P<name>[\w.]+))?"
)
COMMAND = re.compile(r"\bzaraba +(?P<command>[a-z]+)\b(?P<rest>[^`\n]*)")
OPTION = re.compile(r"(?<!\w)--[a-z][a-z-]+")
MAKE = re.compile(r"\bmake +(?P<target>[a-z]+)\b")
METRIC = re.compile(r"\bzaraba_[a-z_]+")
VARIABLE = re.compile(r"\bZARABA_[A-Z_]+")
INTERRUPTED = 130

OPERATIONS = ROOT / "docs" / "operations.md"
COMPATIBILITY = ROOT / "docs" / "compatibility.md"
NODE = ROOT / "docs" / "node.md"
ARCHITECTURE = ROOT / "docs" / "architecture.md"


# ---- reading pages ---------------------------------------------------------------------------


def documents() -> list[Path]:
    """List the pages a reader may start from."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


@cache
def text_of(page: Path) -> str:
    """Read a page."""
    return page.read_text(encoding="utf-8")


def prose(page: Path) -> str:
    """Read a page without its code blocks, where brackets mean something else."""
    return FENCE.sub("", text_of(page))


def code(page: Path) -> Iterator[str]:
    """Yield the code of a page: what stands between backticks, and the lines of its blocks."""
    yield from SPAN.findall(prose(page))
    for fence in FENCE.findall(text_of(page)):
        yield from fence.splitlines()[1:-1]


def anchors(page: Path) -> set[str]:
    """Derive the anchors of a page's headings as the usual viewers do."""
    titles = (match["title"].lower() for match in HEADING.finditer(prose(page)))
    return {re.sub(r"[^\w\- ]", "", title).strip().replace(" ", "-") for title in titles}


def section(page: Path, title: str) -> str:
    """Return the text below a heading, up to the next heading of any level."""
    _, found, rest = text_of(page).partition(f"# {title}\n")
    assert found, f"{page.name} has no section {title}"
    return HEADING.split(rest)[0]


def column(page: Path, title: str, index: int) -> list[str]:
    """Return the cells of one column of the tables in a section, without their headings."""
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in section(page, title).splitlines()
        if line.startswith("|")
    ]
    rules = [at for at, row in enumerate(rows) if set("".join(row)) <= set("-: ")]
    headings = {at - 1 for at in rules} | set(rules)
    return [row[index] for at, row in enumerate(rows) if at not in headings]


def names_in(cells: list[str]) -> list[str]:
    """Return the code of cells, in order."""
    return [name for cell in cells for name in SPAN.findall(cell)]


# ---- links and places ------------------------------------------------------------------------


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


def test_decisions_are_indexed() -> None:
    """Each decision has a number of its own, and a row in the index under its title."""
    folder = ROOT / "docs" / "decisions"
    pages = sorted(folder.glob("[0-9]*.md"))
    rows = [
        f"| [{page.name[:4]}]({page.name}) | {text_of(page).splitlines()[0].partition('. ')[2]} |"
        for page in pages
    ]

    assert len({page.name[:4] for page in pages}) == len(pages)
    assert [row for row in rows if row not in text_of(folder / "README.md")] == []


@cache
def definitions(path: Path) -> frozenset[str]:
    """Return what a module defines; members of a class as ``Class.member``."""
    return frozenset(_defined(ast.parse(path.read_text(encoding="utf-8")).body))


def _defined(body: list[ast.stmt]) -> Iterator[str]:
    for statement in body:
        match statement:
            case ast.ClassDef(name=name, body=members):
                yield name
                yield from (f"{name}.{member}" for member in _defined(members))
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield name
            case ast.Assign(targets=targets):
                yield from (target.id for target in targets if isinstance(target, ast.Name))
            case ast.AnnAssign(target=ast.Name(id=name)):
                yield name
            case _:
                pass


def lost_places(page: Path) -> Iterator[str]:
    """Yield what a page names that does not exist."""
    for span in SPAN.findall(prose(page)):
        match = PLACE.fullmatch(span)
        if match is None:
            continue
        path = ROOT / match["path"]
        known = path.is_dir() if match["path"].endswith("/") else path.exists()
        if not known or (match["name"] and match["name"] not in definitions(path)):
            yield f"{page.relative_to(ROOT)}: {span}"


def test_named_code_exists() -> None:
    """Each file, function and constant that a page names is there."""
    assert [place for page in documents() for place in lost_places(page)] == []


# ---- the command line ------------------------------------------------------------------------


@cache
def help_of(*command: str) -> str:
    """Return what a command says about itself."""
    said = StringIO()
    with redirect_stdout(said), suppress(SystemExit):
        cli.main([*command, "--help"])
    return said.getvalue()


def wrong_commands(page: Path) -> Iterator[str]:
    """Yield the commands of a page that the command line does not have, or not with the options."""
    for line in code(page):
        for match in COMMAND.finditer(line):
            command = match["command"]
            known = re.search(rf"^    {command}\b", help_of(), re.MULTILINE)
            options = OPTION.findall(match["rest"])
            if not known or any(option not in help_of(command) for option in options):
                yield f"{page.relative_to(ROOT)}: {line}"


def test_commands_exist() -> None:
    """Each `zaraba` command in a page can be typed as it stands."""
    assert [line for page in documents() for line in wrong_commands(page)] == []


def test_options_of_serve_are_complete() -> None:
    """The table of options names each option of `zaraba serve`, and no other."""
    documented = OPTION.findall(" ".join(column(OPERATIONS, "Run", 0)))
    existing = set(OPTION.findall(help_of("serve").partition("options:")[2])) - {"--help"}

    assert sorted(documented) == sorted(existing)


def test_make_targets_exist() -> None:
    """Each `make` command in a page names a target."""
    targets = set(re.findall(r"^([a-z]+):", text_of(ROOT / "Makefile"), re.MULTILINE))
    lines = [line for page in documents() for line in code(page)]

    assert {match["target"] for line in lines for match in MAKE.finditer(line)} <= targets


def test_exit_statuses_are_complete() -> None:
    """The table of exit statuses has those that the command line ends with."""
    constants = {
        value
        for module in (cli, serve, verify)
        for name, value in vars(module).items()
        if name.startswith("EXIT_") and not name.endswith("_MAX")
    }
    documented = {int(status) for status in column(OPERATIONS, "Exit statuses", 0)}

    assert documented == constants | {INTERRUPTED}


class Asked(Mapping[str, str]):
    """An empty environment that remembers what was looked up."""

    def __init__(self) -> None:
        self.names: set[str] = set()

    def __getitem__(self, name: str) -> str:
        self.names.add(name)
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


def test_variables_are_complete() -> None:
    """The table of environment variables names those that are read, and pages use no others."""
    asked = Asked()
    settings_from_environment(asked)

    assert set(names_in(column(OPERATIONS, "Under hypercorn", 0))) == asked.names
    used = {name for page in documents() for name in VARIABLE.findall(text_of(page))}
    assert used <= asked.names


# ---- what the program offers -----------------------------------------------------------------


def tags_of(union: Any) -> set[str]:
    """Return the wire names of the actions in a union."""
    return {kind.__struct_config__.tag for kind in get_args(union)}


def types_of(title: str, *, working: bool) -> list[str]:
    """Return the types of a table of the compatibility page that work, or those that do not."""
    types = names_in(column(COMPATIBILITY, title, 0))
    results = column(COMPATIBILITY, title, 2)
    rows = zip(types, results, strict=True)
    return sorted(name for name, result in rows if (result == "works") is working)


@pytest.mark.parametrize(
    ("title", "table"),
    [
        ("Questions: POST /info", set(ANSWERS) | set(FIXED_ANSWERS)),
        ("Actions: POST /exchange", tags_of(Action)),
        ("Subscriptions: GET /ws", COIN_CHANNELS | MARKET_CHANNELS | USER_CHANNELS),
    ],
)
def test_what_is_offered_is_listed(title: str, table: set[str]) -> None:
    """The tables of questions, actions and channels have each type of the program once."""
    assert types_of(title, working=True) == sorted(table)


def test_refused_actions_are_listed() -> None:
    """The actions that are refused by name are those of the page."""
    assert types_of("Actions: POST /exchange", working=False) == sorted(UNSUPPORTED_TYPES)


def test_policies_are_those_of_the_program() -> None:
    """A channel of which every frame counts is said to be one, and no other."""
    channels = column(COMPATIBILITY, "Subscriptions: GET /ws", 0)
    policies = column(COMPATIBILITY, "Subscriptions: GET /ws", 4)
    rows = zip(channels, policies, strict=True)
    lossless = [channel for channel, policy in rows if policy == "every frame"]

    assert sorted(names_in(lossless)) == sorted(POLICIES.keys() & set(names_in(channels)))


def test_refusals_are_listed() -> None:
    """Each reason to refuse stands in the page with its number, its text and its asset."""
    numbers = column(COMPATIBILITY, "Refusals", 0)
    texts = column(COMPATIBILITY, "Refusals", 1)
    assets = column(COMPATIBILITY, "Refusals", 2)
    listed = {
        (int(number), text.strip("`"), asset == "yes")
        for number, text, asset in zip(numbers, texts, assets, strict=True)
    }

    assert listed == {(int(r), wire.text, wire.names_asset) for r, wire in WIRE.items()}


def test_damage_reports_are_listed() -> None:
    """Each report of damage that was mended is explained to operators."""
    explained = section(OPERATIONS, "Damage reports")

    assert [kind.__name__ for kind in get_args(Report) if kind.__name__ not in explained] == []


# ---- what the running program shows ----------------------------------------------------------


async def test_metrics_are_listed(tmp_path: Path) -> None:
    """The table of metrics has each metric of a running program, and no other."""
    async with open_program(Settings(data=tmp_path / "data"), serve=False) as program:
        registry = program.gateway.telemetry.registry
        shown = {
            f"{family.name}_total" if family.type == "counter" else family.name
            for family in registry.collect()
        }

    assert sorted(names_in(column(OPERATIONS, "Metrics", 0))) == sorted(shown)
    beside_a_node = set(names_in(column(NODE, "Metrics of a node", 0)))
    used = {name for page in documents() for name in METRIC.findall(prose(page))}
    assert used <= shown | beside_a_node


def test_metrics_of_a_node_are_listed() -> None:
    """The table of a node's metrics has each of them, and no other."""
    gateway = NodeGateway(Registry(), Telemetry())
    watch_node_gauges(gateway)
    shown = {
        f"{family.name}_total" if family.type == "counter" else family.name
        for family in gateway.telemetry.registry.collect()
        if family.name.startswith("zaraba_node_")
    }

    assert sorted(names_in(column(NODE, "Metrics of a node", 0))) == sorted(shown)


async def test_tree_is_drawn_as_it_is(tmp_path: Path) -> None:
    """The drawing of the tree has the children of the root in the order of their start."""
    drawing = section(ARCHITECTURE, "The tree")
    drawn = re.findall(r"^[├└]─ (\w+)", drawing, re.MULTILINE)
    async with open_program(Settings(data=tmp_path / "data", port=0, demo=True)) as program:
        assert program.system is not None
        paths = [node.path for node in program.system.tree()]

    assert drawn == list(dict.fromkeys(path.split("/")[0] for path in paths if path))
