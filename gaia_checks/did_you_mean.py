"""What somebody who mistyped a name most likely meant. Pure."""

import difflib
from collections.abc import Iterable


def guess(wrong: str, known: Iterable[str]) -> str:
    """Return ` (did you mean qa?)` for a name that resembles a known one, else nothing."""
    alike = difflib.get_close_matches(wrong, sorted(known), n=1)
    return f" (did you mean {alike[0]}?)" if alike else ""
