"""Text of others is shown without obeying it."""

import pytest

from gaia_checks.printable import ASCII, printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Grüße, 日本語 🙂", "Grüße, 日本語 🙂"),
        ("\x1b[2J\x1b]0;title\x07", r"\x1b[2J\x1b]0;title\x07"),
        ("\x9b31m", r"\x9b31m"),  # one character that starts a sequence
        ("good\rbad\n\t\0", r"good\rbad\n\t\x00"),
        ("admin\u202egpj.exe\u2066", r"admin\u202egpj.exe\u2066"),
        ("zero\u200bwidth\ufeff", r"zero\u200bwidth\ufeff"),
        ("line\u2028break\udc80", r"line\u2028break\udc80"),
    ],
    ids=["plain", "escape", "c1", "controls", "bidi", "hidden", "separator"],
)
def test_what_steers_a_terminal_is_escaped(text: str, shown: str) -> None:
    """Escape sequences, controls, direction overrides and hidden characters; letters of all scripts stay."""
    assert printable(text) == shown


def test_what_an_encoding_lacks_becomes_similar_or_an_escape() -> None:
    """A terminal without Unicode shows readable marks; other letters stay identifiable."""
    assert "✓ ≤ 100 ms – 日 é".encode("ascii", ASCII) == rb"+ <= 100 ms - \u65e5 \xe9"
    assert "✓ é".encode("latin-1", ASCII) == b"+ \xe9"
