"""The chain of the ledger's lines: each ends with a sha256 over itself and the line before it.

Whoever can write the file can write the whole chain again. So signed statements name its head (`ChainHead`):
a ledger that was written again no longer has it where the statement says.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gaia_checks import jsonl

_CHAIN = re.compile(r',"home":"(?P<home>[0-9a-f]{12})","chain":"(?P<chain>[0-9a-f]{64})"\}$')
_START = "0" * 64


@dataclass(frozen=True, slots=True)
class ChainHead:
    """The end of a ledger at a time: its number of lines, and the last line's link."""

    home: str
    lines: int
    chain: str


def append(path: Path, home: str, record: Mapping[str, Any]) -> None:
    """Append a record, linked to the line before it; it is on the disk when this returns."""

    def following(last: str) -> dict[str, Any]:
        found = _CHAIN.search(last)
        linked = {**record, "home": home}
        return {**linked, "chain": _link(found["chain"] if found else _START, jsonl.text(linked))}

    jsonl.append_after(path, following, durable=True)


def head(path: Path, home: str) -> ChainHead | None:
    """Return the head, None of an absent or empty ledger."""
    lines = _lines(path)
    found = _CHAIN.search(lines[-1]) if lines else None
    return ChainHead(home, len(lines), found["chain"]) if found else None


def faults(path: Path, home: str, heads: Iterable[ChainHead] = ()) -> Iterator[str]:
    """Yield what is wrong with the ledger of `home`, each with its line. `heads` were stated of it before."""
    lines = _lines(path)
    links = []
    before = _START
    for number, line in enumerate(lines, start=1):
        found = _CHAIN.search(line)
        if found is None:
            yield f"{path}:{number}: not a line that gaia wrote: it has no link to the one before"
            return
        if found["chain"] != _link(before, line[: found.start()] + f',"home":"{found["home"]}"}}'):
            yield f"{path}:{number}: edited, or a line before it was removed, added or moved"
            return
        if found["home"] != home:
            yield f"{path}:{number}: written for another GAIA_HOME ({found['home']}, this one is {home})"
            return
        before = found["chain"]
        links.append(before)
    for stated in heads:
        if stated.home == home and (stated.lines > len(links) or links[stated.lines - 1] != stated.chain):
            gone = "is gone" if stated.lines > len(links) else "this line or one before it was written again"
            yield f"{path}:{stated.lines}: {gone}: a signed statement names another"
            return


def _link(before: str, line: str) -> str:
    return hashlib.sha256(f"{before}\n{line}".encode()).hexdigest()


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8", errors="replace").split("\n")[:-1]
    except FileNotFoundError:
        return []


def read_head(record: Any) -> ChainHead | None:
    """Return the head that a statement names; None when it names none."""
    try:
        found = ChainHead(str(record["home"]), int(record["lines"]), str(record["chain"]))
    except (KeyError, TypeError, ValueError):
        return None
    return found if found.lines > 0 else None
