"""The order of migrations in a repository without order.txt: by the number that each name starts with. Pure."""

import re
from collections.abc import Collection

from gaia_checks.errors import MigrationError

_NUMBERED = re.compile(r"(?P<before>\D*)(?P<number>\d+)")  # 2 comes before 10; V2__items before V10__more
_WRITE = "write it (cd migrations && ls *.sql | sort -V > order.txt), and check the order of its lines"


def sort(stems: Collection[str]) -> list[str]:
    """Return names of files, without `.sql`, in their natural order.

    Raises MigrationError where they do not determine it: a name without a number, or two with one number.
    """
    found: dict[tuple[str, int], str] = {}
    for stem in sorted(stems):
        numbered = _NUMBERED.match(stem)
        if numbered is None and len(stems) > 1:
            raise MigrationError(f"migrations: no order.txt, and {stem}.sql has no number to order it by; {_WRITE}")
        key = (numbered["before"], int(numbered["number"])) if numbered else (stem, 0)
        if key in found:
            raise MigrationError(
                f"migrations: no order.txt, and {found[key]}.sql and {stem}.sql have the same number; {_WRITE}"
            )
        found[key] = stem
    starts = sorted({before for before, _ in found})
    if len(starts) > 1:
        raise MigrationError(
            f"migrations: no order.txt, and names start with {starts[0]!r} and with {starts[1]!r}; {_WRITE}"
        )
    return [found[key] for key in sorted(found)]
