"""The import arrows of the design, read from the syntax trees.

    model  <-  actors  <-  api          supervision  <-  actors

An import under `if TYPE_CHECKING` counts: the arrows say who may know of whom.
"""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from attrs import frozen

ROOT = Path(__file__).parents[2]
PACKAGES = ("model", "supervision", "actors", "api")

# The standard modules that compute and do nothing else. `model` may use these and no other:
# a list of what is forbidden would forget something.
PURE_STDLIB = frozenset(
    """
    __future__ abc array binascii bisect collections contextlib copy dataclasses datetime decimal
    enum fractions functools hashlib heapq itertools math numbers operator re string struct types
    typing zlib
    """.split()
)

# A second event loop beside Trio is never wanted.
STDLIB = frozenset(sys.stdlib_module_names) - {"asyncio"}

ALLOWED = {
    "model": PURE_STDLIB | {"model", "attr", "attrs", "msgspec"},
    "supervision": STDLIB | {"supervision", "attr", "attrs", "trio"},
    "actors": STDLIB
    | {"actors", "model", "supervision"}
    | {"attr", "attrs", "msgspec", "trio", "prometheus_client", "opentelemetry"},
}

TELEMETRY_MODULES = {
    "prometheus_client": frozenset({"actors/telemetry.py", "actors/exposition.py"}),
    "opentelemetry": frozenset({"actors/tracing.py", "actors/tracing_export.py"}),
}

# What a deterministic function does not call even where the module is allowed: the clock, the
# outside world, and numbers that differ from one process to the next.
IMPURE_METHODS = frozenset({"now", "utcnow", "today"})
IMPURE_BUILTINS = frozenset({"open", "print", "input", "exec", "eval", "__import__", "id", "hash"})


@frozen
class Import:
    """One imported name: `module` is absolute, `line` where it stands."""

    module: str
    line: int

    @property
    def package(self) -> str:
        return self.module.partition(".")[0]


def imports(tree: ast.AST, *, inside: str) -> Iterator[Import]:
    """Yield all imports of a syntax tree, relative ones resolved against the package `inside`."""
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from (Import(name.name, node.lineno) for name in names)
            case ast.ImportFrom(module=module, level=0):
                yield Import(module or "", node.lineno)
            case ast.ImportFrom(module=module, level=level):
                parts = inside.split(".")[: 1 - level or None]
                yield Import(".".join([*parts, *([module] if module else [])]), node.lineno)
            case _:
                pass


def impurities(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield line and reason of all that makes a function depend on more than its arguments."""
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Name(id=name)) if name in IMPURE_BUILTINS:
                yield node.lineno, f"calls {name}()"
            case ast.Call(func=ast.Attribute(attr=name)) if name in IMPURE_METHODS:
                yield node.lineno, f"reads the clock by .{name}()"
            case ast.Call(func=ast.Name(id="float")):
                yield node.lineno, "makes a float"
            case ast.Constant(value=float() as value):
                yield node.lineno, f"holds the float {value}"
            case ast.BinOp(op=ast.Div()) | ast.AugAssign(op=ast.Div()):
                yield node.lineno, "divides into a float; name the rounding with // instead"
            case ast.AsyncFunctionDef(name=name):
                yield node.lineno, f"waits in async {name}()"
            case _:
                pass


def sources(package: str) -> Iterator[tuple[str, ast.Module, str]]:
    """Yield path below the root, syntax tree and dotted package of each module of a package."""
    for path in sorted((ROOT / package).rglob("*.py")):
        below = path.relative_to(ROOT)
        tree = ast.parse(path.read_text(encoding="utf-8"), filename=str(below))
        yield below.as_posix(), tree, ".".join(below.parent.parts)


@pytest.mark.parametrize("package", PACKAGES)
def test_package_is_there(package: str) -> None:
    """Each package of the design exists, so that the rules below have something to read."""
    assert (ROOT / package / "__init__.py").is_file()


@pytest.mark.parametrize("package", ALLOWED)
def test_imports_point_inward(package: str) -> None:
    """A package imports only what its row of the table allows."""
    breaches = [
        f"{path}:{found.line} imports {found.module}"
        for path, tree, inside in sources(package)
        for found in imports(tree, inside=inside)
        if found.package not in ALLOWED[package]
    ]

    assert breaches == []


def test_model_is_pure() -> None:
    """No module of `model` reads a clock, talks to the world, waits, or computes with floats."""
    breaches = [
        f"{path}:{line} {reason}"
        for path, tree, _ in sources("model")
        for line, reason in impurities(tree)
    ]

    assert breaches == []


def test_few_modules_know_the_telemetry_libraries() -> None:
    """Prometheus and OpenTelemetry are imported by the modules named above; others call hooks."""
    breaches = [
        f"{path}:{found.line} imports {found.module}"
        for package in PACKAGES
        for path, tree, inside in sources(package)
        for found in imports(tree, inside=inside)
        if path not in TELEMETRY_MODULES.get(found.package, {path})
    ]

    assert breaches == []


@pytest.mark.parametrize(
    ("source", "module"),
    [
        ("import trio", "trio"),
        ("import os.path as p", "os.path"),
        ("from api.app import create", "api.app"),
        ("def f():\n    from random import Random", "random"),
        ("if TYPE_CHECKING:\n    import api", "api"),
        ("from . import x", "actors.sources"),
        ("from .node import x", "actors.sources.node"),
        ("from .. import x", "actors"),
        ("from ..router import x", "actors.router"),
    ],
)
def test_reader_sees_imports_in_every_form(source: str, module: str) -> None:
    """The check finds an import wherever it stands and however it is written."""
    assert [i.module for i in imports(ast.parse(source), inside="actors.sources")] == [module]


@pytest.mark.parametrize(
    "source",
    [
        "datetime.now()",
        "date.today()",
        "open('x')",
        "key = id(order)",
        "hash('text')",
        "price = 1.5",
        "a / b",
        "a /= 2",
        "float('1')",
        "async def f(): ...",
    ],
)
def test_reader_sees_impurities(source: str) -> None:
    """The check finds each kind of impurity."""
    assert len(list(impurities(ast.parse(source)))) == 1
