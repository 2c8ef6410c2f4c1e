"""Reads SQL by the part of PostgreSQL's lexical rules that separates statements, words and comments (pure)."""

import re
from collections.abc import Iterator

_LETTER = r"[A-Za-z_\x80-\U0010ffff]"  # an identifier takes every byte above 0x7F, which Python's \w does not
_GAP = r"[ \t\f\v]|--[^\n\r]*+"  # between the parts of a string that continues on a later line
_TOKEN = re.compile(
    rf"""
      --[^\n\r]*                                    # comment to the end of the line
    | (?P<block>/\*)                                # block comments nest: skipped in code
    | [eE]'(?:[^'\\]|\\.|'')*'                      # E'...' has backslash escapes, also where it continues
      (?:(?:{_GAP})*[\n\r](?:{_GAP}|[\n\r])*'(?:[^'\\]|\\.|'')*')*
    | '(?:[^']|'')*'
    | "(?:[^"]|"")*"
    | \$(?P<tag>(?:{_LETTER}(?:{_LETTER}|[0-9])*)?)\$.*?\$(?P=tag)\$   # a dollar-quoted body: ignores plpgsql's BEGIN
    | (?P<word>{_LETTER}(?:{_LETTER}|[0-9$])*)
    | [0-9]+
    | (?P<end>;)
    """,
    re.VERBOSE | re.DOTALL,
)
_BLOCK_EDGE = re.compile(r"/\*|\*/")


def statements(sql: str) -> Iterator[tuple[int, tuple[str, ...]]]:
    """Yield each statement's first line and its words in capitals.

    A body in standard SQL (`BEGIN ATOMIC ... END`) belongs to its statement, including its semicolons.
    """
    words: list[str] = []
    line, depth = 1, 0
    for offset, word in _words(sql):
        if word == ";" and not depth:
            if words:
                yield line, tuple(words)
            words = []
            continue
        if not words:
            line = sql.count("\n", 0, offset) + 1
        if (word == "ATOMIC" and words[:1] == ["CREATE"] and words[-1] == "BEGIN") or (depth and word == "CASE"):
            depth += 1
        elif depth and word == "END":
            depth -= 1
        if word != ";":
            words.append(word)
    if words:
        yield line, tuple(words)


def without_comments(sql: str) -> str:
    """Return `sql` with a space in the place of each comment."""
    parts, at = [], 0
    while found := _TOKEN.search(sql, at):
        end = _after_block(sql, found.end()) if found["block"] else found.end()
        comment = found["block"] or found.group().startswith("--")
        parts += [sql[at : found.start()], " " if comment else sql[found.start() : end]]
        at = end
    return "".join(parts) + sql[at:]


def _words(sql: str) -> Iterator[tuple[int, str]]:
    """Yield (offset, word in capitals or ";") outside quotes and comments."""
    at = 0
    while found := _TOKEN.search(sql, at):
        at = found.end()
        if found["block"]:
            at = _after_block(sql, at)
        elif found["word"] or found["end"]:
            text = found.group()
            yield found.start(), text.upper() if text.isascii() else text  # keywords are ASCII


def _after_block(sql: str, at: int) -> int:
    """Return the offset after the block comment whose opening ends at `at`."""
    depth = 1
    while depth:
        edge = _BLOCK_EDGE.search(sql, at)
        if edge is None:
            return len(sql)
        depth += 1 if edge.group() == "/*" else -1
        at = edge.end()
    return at
