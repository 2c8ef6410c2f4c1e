"""CHANGELOG.md by Keep a Changelog: the versions, their dates, and what the packages call themselves."""

import re
from datetime import date
from pathlib import Path

import gaia_checks
import gaia_server

TEXT = (Path(__file__).resolve().parent.parent / "CHANGELOG.md").read_text(encoding="utf-8")
KINDS = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


def test_the_newest_release_is_the_version_of_both_packages() -> None:
    """Versions and dates descend below the heading for what is not released yet."""
    first, *releases = re.findall(r"^## (.+)$", TEXT, re.MULTILINE)
    assert first == "[Unreleased]"
    found = [re.fullmatch(r"\[(\d+)\.(\d+)\.(\d+)\] - (\S+)", release) for release in releases]
    versions = [tuple(map(int, match.groups()[:3])) for match in found if match]
    dates = [date.fromisoformat(match[4]) for match in found if match]
    assert len(versions) == len(releases)
    assert versions == sorted(set(versions), reverse=True)
    assert dates == sorted(dates, reverse=True)
    assert gaia_checks.__version__ == gaia_server.__version__ == ".".join(map(str, versions[0]))


def test_every_release_lists_kinds_of_changes_once() -> None:
    """The sections of a release have the names of Keep a Changelog."""
    for release in TEXT.split("\n## ")[1:]:
        kinds = re.findall(r"^### (.+)$", release, re.MULTILINE)
        assert set(kinds) <= KINDS
        assert len(kinds) == len(set(kinds))
