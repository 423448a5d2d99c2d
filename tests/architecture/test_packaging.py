"""What is in the tree is also in the installed program."""

import tomllib
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("model", "supervision", "actors", "api")


def test_every_folder_with_modules_is_a_package() -> None:
    """A folder without `__init__.py` works in the tree and is missing from the wheel."""
    folders = {path.parent for package in PACKAGES for path in (ROOT / package).rglob("*.py")}

    assert [folder for folder in folders if not (folder / "__init__.py").is_file()] == []


def test_console_script_names_a_module() -> None:
    """The `zaraba` command leads to a module that exists."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    module, _, function = project["scripts"]["zaraba"].partition(":")

    assert find_spec(module) is not None
    assert function == "main"
