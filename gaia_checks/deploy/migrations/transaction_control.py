"""Finds transaction control in a migration, by the relevant part of PostgreSQL's lexical rules (pure)."""

import re
from collections.abc import Iterator

_TOKEN = re.compile(
    r"""
      --[^\n]*                                      # comment to the end of the line
    | (?P<block>/\*)                                # block comments nest: skipped in code
    | (?<![\w$])[eE]'(?:[^'\\]|\\.|'')*'            # E'...' has backslash escapes
    | '(?:[^']|'')*'
    | "(?:[^"]|"")*"
    | (?<![\w$])\$(?P<tag>(?:[^\W\d]\w*)?)\$.*?\$(?P=tag)\$   # a dollar-quoted body: ignores plpgsql's BEGIN
    | (?P<word>[^\W\d][\w$]*)
    | (?P<end>;)
    """,
    re.VERBOSE | re.DOTALL,
)
_BLOCK_EDGE = re.compile(r"/\*|\*/")
_CONTROL = frozenset({"ABORT", "BEGIN", "COMMIT", "END", "RELEASE", "ROLLBACK", "SAVEPOINT"})
_CONTROL_PAIRS = frozenset({("START", "TRANSACTION"), ("PREPARE", "TRANSACTION")})


def transaction_control(sql: str) -> tuple[int, str] | None:
    """Return line and keywords of the first statement that starts or ends a transaction, None without one.

    Comments, strings, quoted names and function bodies are ignored.
    """
    for line, words in _statements(sql):
        if words[0] in _CONTROL:
            return line, words[0]
        if words[:2] in _CONTROL_PAIRS:
            return line, " ".join(words[:2])
    return None


def _statements(sql: str) -> Iterator[tuple[int, tuple[str, ...]]]:
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
        if (word == "ATOMIC" and words and words[-1] == "BEGIN" and len(words) > 1) or (depth and word == "CASE"):
            depth += 1
        elif depth and word == "END":
            depth -= 1
        if word != ";":
            words.append(word)
    if words:
        yield line, tuple(words)


def _words(sql: str) -> Iterator[tuple[int, str]]:
    """Yield (offset, word in capitals or ";") outside quotes and comments."""
    at = 0
    while found := _TOKEN.search(sql, at):
        at = found.end()
        if found["block"]:
            at = _after_block(sql, at)
        elif found["word"] or found["end"]:
            yield found.start(), found.group().upper()


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
