"""No private words in what a person reads: the field's terms stand instead (`ARCHITECTURE.md` lists them)."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

WORDS = {
    "told|tells?|telling|said": "report, log, event; or what a variable contains",
    "seen|unseen": "observed, unobservable",
    "asked|asks|asking": "requested, requires, threshold",
    "held": "samples, retained, satisfied",
    "begun|ended": "started, finished",
    "goes back|gone back": "rolls back",
    "gate that is lost": "a gate that can no longer pass",
    "strangers": "other processes",
    "not to be believed": "unreliable",
    "mend(s|ed|ing)?": "fix",
    "(?<!rehearsal )the copy": "the rehearsal copy",
    "our rules?|rules? of ours": "the gate's temporary rule",
    "twins?": "stand-in release",
    "goals?": "rollback target",
    "diary|diaries": "deployment journal",
    "story|stories": "deployment",
    "ruled": "temporary rules",
    "fleets?": "clients",
    "salvos?": "bursts",
    "provocations?": "trigger events",
}
"""A private word, as a pattern -> what to write. `hold` is ordinary: a command holds a lock, a file holds a name."""

NAMES = """
    asked asking beginning diary fleet follow goal growth held looks notes places points provocation ruled salvos story
    twin
"""
"""Modules and classes need a name that says more; as words of a sentence some of these are ordinary."""

ORDINARY = {
    r"\bOLD_ENDED\b|\bold_ended\b": "a checkpoint in journals, which another version may read",
    r"\.tell\(\)": "a method of Python's files",
    r"\.DEFAULT_GOAL\b": "a variable of make",
}
"""What is not searched -> why."""

READ = (
    "gaia_checks", "gaia_server", "suites", "docs", "environments", "migrations", "locustfiles",
    "README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md", "Makefile", "pyproject.toml", "conftest.py",
)  # fmt: skip
"""Files and folders that people read; the dashboard and the OpenAPI document are in gaia_server."""

SKIPPED = (
    "docs/decisions/0022-rooms-and-words.md",  # the decision about the words names some
    "docs/example-report/prod",  # evidence as a gate left it
)  # fmt: skip

SUFFIXES = {"", ".css", ".html", ".js", ".json", ".md", ".mjs", ".py", ".sql", ".toml", ".yml"}

_PRIVATE = re.compile(rf"(?<![A-Za-z])({'|'.join(WORDS)})(?![A-Za-z])", re.IGNORECASE)
_ORDINARY = re.compile("|".join(ORDINARY))


def private_words(text: str) -> Iterator[tuple[int, str]]:
    """Yield the line and each private word of a text; `_` separates words, as in names of code."""
    for number, line in enumerate(text.splitlines(), start=1):
        yield from ((number, found[0]) for found in _PRIVATE.finditer(_ORDINARY.sub("", line)))


def files() -> Iterator[Path]:
    """Yield what people read."""
    for name in READ:
        path = ROOT / name
        for one in (path,) if path.is_file() else sorted(path.rglob("*")):
            skipped = one.relative_to(ROOT).as_posix().startswith(SKIPPED) or "__pycache__" in one.parts
            if one.is_file() and one.suffix in SUFFIXES and not skipped:
                yield one


def test_what_people_read_has_no_private_words() -> None:
    """Sentences, names and messages use the field's terms."""
    found = [
        f"{path.relative_to(ROOT)}:{number}: {word}"
        for path in files()
        for number, word in private_words(path.read_text(encoding="utf-8"))
    ]
    assert found == []


@pytest.mark.parametrize("package", ["gaia_checks", "gaia_server"])
def test_no_module_or_class_has_a_private_name(package: str) -> None:
    """A name explains what is in it."""
    paths = sorted((ROOT / package).rglob("*.py"))
    classes = [
        each.name for path in paths for each in ast.parse(path.read_text()).body if isinstance(each, ast.ClassDef)
    ]
    assert {name.lower() for name in (*(path.stem for path in paths), *classes)} & set(NAMES.split()) == set()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("one\nThe gate told us what was seen", [(2, "told"), (2, "seen")]),
        ("last_told = unseen_rules", [(1, "told"), (1, "unseen")]),
        ("the previous release is gone back to; compare the copy", [(1, "gone back"), (1, "the copy")]),
        ("the rehearsal copy; foretold; ascended; goalkeeper; history", []),
        ("another command holds the lock; file.tell()", []),
        ("file.tell() was told", [(1, "told")]),
    ],
)
def test_private_words_are_found(text: str, words: list[tuple[int, str]]) -> None:
    """Whole words are found, also in names; ordinary uses are not, and excuse nothing else in their line."""
    assert list(private_words(text)) == words
