"""Text of others, as a terminal and the ledger may have it, and text of ours where the encoding lacks a character.

Pure.
"""

import codecs

ASCII = "gaia-ascii"
"""The error handler of streams: a character that the encoding lacks becomes a similar one of ASCII, else an escape."""

_SIMILAR = {
    "✓": "+", "✗": "x", "–": "-", "—": "-", "…": "...", "·": ".", "→": "->", "≥": ">=", "≤": "<=", "×": "x",
    "░": ".", "█": "#", "━": "-", "╸": "-", "╺": "-", "│": "|", "─": "-", "“": '"', "”": '"', "\u2019": "'",
}  # fmt: skip


def printable(text: object) -> str:
    """Return `text` in one line, with every character that steers a terminal or reorders text written as an escape."""
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in str(text))


def _similar(error: UnicodeError) -> tuple[str, int]:
    """Replace what cannot be encoded."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    missing = error.object[error.start : error.end]
    return "".join(_SIMILAR.get(each) or each.encode("unicode_escape").decode() for each in missing), error.end


codecs.register_error(ASCII, _similar)
