"""Names that a reader could confuse: modules or public classes of one name, aliases for them, and crowded folders."""

import ast
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

PACKAGES = ("gaia_checks", "gaia_server")
MOST_MODULES = 16
"""Modules in a folder, without `__init__.py`."""

CUSTOMARY = {("numpy", "np")}
"""Import aliases that every reader knows."""


def sources(package: str) -> list[Path]:
    """Return the source files of a package."""
    return sorted((ROOT / package).rglob("*.py"))


@pytest.mark.parametrize("package", PACKAGES)
def test_no_two_modules_of_a_package_have_one_name(package: str) -> None:
    """A file is found by its name alone."""
    counted = Counter(path.stem for path in sources(package) if not path.stem.startswith("__"))
    assert {name for name, number in counted.items() if number > 1} == set()


@pytest.mark.parametrize("package", PACKAGES)
def test_no_two_public_classes_of_a_package_have_one_name(package: str) -> None:
    """A class is found by its name alone."""
    classes = (each for path in sources(package) for each in ast.parse(path.read_text()).body)
    counted = Counter(each.name for each in classes if isinstance(each, ast.ClassDef) and not each.name.startswith("_"))
    assert {name for name, number in counted.items() if number > 1} == set()


@pytest.mark.parametrize("package", PACKAGES)
def test_nothing_of_the_project_is_imported_under_another_name(package: str) -> None:
    """An alias would be needed only where two names clash."""
    imports = [node for path in sources(package) for node in ast.walk(ast.parse(path.read_text()))]
    own = {
        (f"{node.module}.{alias.name}", alias.asname)
        for node in imports
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(PACKAGES)
        for alias in node.names
        if alias.asname
    }
    assert own == set()
    others = {(a.name, a.asname) for node in imports if isinstance(node, ast.Import) for a in node.names if a.asname}
    assert others <= CUSTOMARY


@pytest.mark.parametrize("package", PACKAGES)
def test_a_folder_is_taken_in_at_a_glance(package: str) -> None:
    """No folder has more than about a dozen modules."""
    counted = Counter(path.parent for path in sources(package) if path.name != "__init__.py")
    assert {folder.name: number for folder, number in counted.items() if number > MOST_MODULES} == {}
