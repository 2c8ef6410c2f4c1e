"""The pages, read as Markdown: headings, links, inline code, and blocks of code with the section each stands in."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

from gaia_checks.environment.project import ROOT

PAGES = sorted(
    path.relative_to(ROOT).as_posix()
    for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("faults/*.md"))
    if path.name != "verdict.md"  # in docs/example-report, as a gate wrote it
)

every_page = pytest.mark.parametrize("page", PAGES)


@dataclass(frozen=True)
class Block:
    """A block of code."""

    section: str  # "docs/load.md#from-the-command-line"; a page without headings has no "#"
    language: str  # "" for a block without one, also for an indented block
    text: str


def text(page: str) -> str:
    """A page as it stands."""
    return (ROOT / page).read_text()


@cache
def tokens(page: str) -> tuple[Token, ...]:
    """What a page consists of."""
    return tuple(MarkdownIt("commonmark").enable("table").parse(text(page)))


def blocks(page: str) -> Iterator[Block]:
    """Yield the blocks of code, in order."""
    section = page
    for before, token in zip((None, *tokens(page)), tokens(page), strict=False):
        if before is not None and before.type == "heading_open":
            section = f"{page}#{anchor(token.content)}"
        elif token.type in ("fence", "code_block"):
            yield Block(section, token.info.strip(), token.content)


def inline_code(page: str) -> Iterator[str]:
    """Yield what stands between backquotes."""
    return (child.content for token in tokens(page) for child in token.children or () if child.type == "code_inline")


def links(page: str) -> Iterator[str]:
    """Yield the addresses of links and images."""
    for token in tokens(page):
        for child in token.children or ():
            if child.type in ("link_open", "image"):
                yield str(child.attrs.get("href") or child.attrs.get("src"))


def anchors(page: str) -> set[str]:
    """The fragments of a page's headings."""
    found = zip(tokens(page), tokens(page)[1:], strict=False)
    return {anchor(content.content) for opening, content in found if opening.type == "heading_open"}


def anchor(heading: str) -> str:
    """The fragment of a heading, as git hosts make it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def file_of(page: str, link: str) -> Path:
    """The file that a relative link of a page names."""
    name = link.partition("#")[0]
    return (ROOT / page).parent / name if name else ROOT / page
