"""The settings and the exit codes that the pages name exist."""

import re
import shutil
import tomllib
from pathlib import Path
from signal import SIGINT
from typing import Any

from gaia_checks import errors
from gaia_checks.environment import environment_file
from gaia_checks.environment.project import ROOT
from gaia_checks.errors import CriteriaFileError, EnvironmentFileError
from gaia_checks.judge import criteria_file
from tests.docs import pages
from tests.docs.pages import every_page

CODES = {0, 2, 3, 5, 128 + SIGINT, *(one.exit_code for one in vars(errors).values() if hasattr(one, "exit_code"))}
"""What `gaia` and a gate end with; 2, 3 and 5 are pytest's own."""

LEAST = {"stage": '"qa"', "database": '"external"', "host": '"127.0.0.1"', "base_url": '"http://127.0.0.1:8080"'}
"""What every environment file here has, if the page does not say otherwise."""

TABLES = ("contract", "looks.load", "migrations", "no_regression", "promotion", "prove", "server", "environment")


@every_page
def test_exit_codes_exist(page: str) -> None:
    """Whatever is called an exit code is one of ours."""
    prose = " ".join(pages.text(page).split()).replace("exited with exit code", "")  # a fault's, in docs/proof.md
    named = re.findall(r"[Ee]xit codes? (\d+(?:(?:, | or | and )\d+)*)", prose)
    assert {int(code) for codes in named for code in re.findall(r"\d+", codes)} <= CODES


def test_the_table_of_exit_codes_is_complete() -> None:
    """In README.md: those of a verdict and of a wrong command, and pytest's own."""
    rows = re.search(r"^\| exit code \| meaning \|\n.*\n((?:\|.*\n)+)", pages.text("README.md"), re.MULTILINE)
    assert rows
    listed = {int(code) for row in rows[1].splitlines() for code in re.findall(r"\d+", row.split("|")[1])}
    assert listed == CODES - {128 + SIGINT}


@every_page
def test_blocks_of_settings_are_valid(page: str, tmp_path: Path) -> None:
    """Every block of TOML, but that of criteria, is read as an environment file or as a part of one."""
    for block in pages.blocks(page):
        if block.language == "toml" and "[criteria." not in block.text:
            assert refused(tmp_path, block.text) is None, block.text


@every_page
def test_settings_in_a_sentence_exist(page: str, tmp_path: Path) -> None:
    """`key = value`, with its table before it or of any, is taken by an environment file, or is of criteria.toml."""
    known = keys(tomllib.loads(criteria_file.PATH.read_text()))
    for code in pages.inline_code(page):
        found = re.fullmatch(r"(?:\[([\w.]+)\] )?(\w+) = (.+)", code)
        if found and found[2] not in known and is_toml(f"{found[2]} = {found[3]}"):
            tables = (found[1],) if found[1] else TABLES
            assert None in [refused(tmp_path, f"{found[2]} = {found[3]}", table) for table in tables], code


def refused(folder: Path, text: str, table: str = "environment") -> str | None:
    """Why an environment file does not take settings, None if it does; those before the first table are of `table`."""
    if "[environment]\n" not in text:
        text = f"[environment]\n{text}" if table == "environment" else f"[environment]\n[{table}]\n{text}"
    given = tomllib.loads(text)["environment"]
    least = "".join(f"{key} = {value}\n" for key, value in LEAST.items() if key not in given)
    file = folder / "environments" / "page.toml"
    file.parent.mkdir(exist_ok=True)
    file.write_text(text.replace("[environment]\n", f"[environment]\n{least}", 1))
    shutil.copytree(ROOT / "starter" / "environments" / "adapters", file.parent / "adapters", dirs_exist_ok=True)
    shutil.copytree(ROOT / "locustfiles", folder / "locustfiles", dirs_exist_ok=True)
    shutil.copy(ROOT / "locustfiles" / "quotas.py", folder / "locustfiles" / "ours.py")
    try:
        where = environment_file.load(str(file), variables={})
        criteria_file.load(overrides=where.looks, limits=where.no_regression)
    except (EnvironmentFileError, CriteriaFileError) as error:
        return str(error)
    return None


def is_toml(text: str) -> bool:
    """Whether it is a setting, and no formula."""
    try:
        tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return False
    return True


def keys(table: dict[str, Any]) -> set[str]:
    """Every key of a table, at any depth."""
    return set(table) | {key for value in table.values() if isinstance(value, dict) for key in keys(value)}
