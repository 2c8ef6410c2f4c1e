"""The statement of a file that runs outside a transaction: one index, created or dropped concurrently (pure)."""

import re
from dataclasses import dataclass

from gaia_checks.deploy.migrations.sql_lexer import statements, without_comments

# excludes what is no part of a name: all that may be one takes a quarter of a second to compile without regard to case
_NAME = r'(?:"(?:[^"]|"")+"|[^\x00-@\[-^`{-\x7f][^\x00-#%-/:-@\[-^`{-\x7f]*)'
_QUALIFIED = rf"{_NAME}(?:\s*\.\s*{_NAME})*"
_CREATE = re.compile(
    r"\s*CREATE\s+(?:UNIQUE\s+)?INDEX\s+(?P<word>CONCURRENTLY)\s+(?:IF\s+NOT\s+EXISTS\s+)?"
    rf"(?P<name>{_NAME})\s*\bON\b\s*(?:ONLY\s+)?(?P<table>{_QUALIFIED})",
    re.IGNORECASE,
)
_DROP = re.compile(
    rf"\s*DROP\s+INDEX\s+(?P<word>CONCURRENTLY)\s+(?:IF\s+EXISTS\s+)?(?P<name>{_QUALIFIED})\s*(?:RESTRICT)?[\s;]*",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class IndexStatement:
    """CREATE or DROP INDEX CONCURRENTLY; the names are as they are written."""

    name: str
    table: str | None  # None: the index is dropped
    in_transaction: str  # the same without CONCURRENTLY


def parse(sql: str) -> IndexStatement | None:
    """Return the index statement that is all of `sql`, None for anything else, as an index without a name."""
    text = without_comments(sql)
    found = _CREATE.match(text) or _DROP.fullmatch(text)
    if found is None or sum(1 for _ in statements(sql)) != 1:
        return None
    plain = text[: found.start("word")] + text[found.end("word") :]
    return IndexStatement(found["name"], found.groupdict().get("table"), plain)
