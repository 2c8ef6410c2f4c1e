"""Every page with shell commands is named here: with the tests that run its commands, or with why none does."""

import re

import pytest

from gaia_checks.environment.project import ROOT
from tests.docs.test_pages import PAGES, identifier

RUN = {
    "docs/how-to/first-release.md": "tests/docs/test_first_release.py",
    "docs/how-to/own-criteria.md": "tests/docs/test_own_criteria.py",
    "docs/targets.md": "tests/test_starter.py",
    "docs/deploy/running.md": "tests/docs/test_promotion_commands.py",
}
"""Page -> the test that reads commands from it (of running.md those of a promotion)."""

NOT_RUN = {
    "docs/how-to/wall.md": "serves to every address until Ctrl-C, and calls a host of an example",
}
"""Page -> why no test runs what stands on it: this list only shrinks."""


def test_every_page_with_commands_is_named() -> None:
    """A new page of commands needs a test; a page without any commands leaves the lists."""
    with_commands = {identifier(page) for page in PAGES if re.search(r"^```bash$", page.read_text(), re.MULTILINE)}
    assert with_commands == RUN.keys() | NOT_RUN.keys()
    assert not RUN.keys() & NOT_RUN.keys()


@pytest.mark.parametrize(("page", "test"), RUN.items())
def test_the_named_test_reads_the_page(page: str, test: str) -> None:
    """It names the file of the page."""
    text = (ROOT / test).read_text()
    assert page.rpartition("/")[2] in text
