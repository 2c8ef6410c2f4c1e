"""Reads migrations from their files.

migrations/order.txt            names of files beside it, in the order of application; `#` starts a comment. Without it
                                their numbers order them (natural_order)
migrations/<stem>.sql           one migration; its version is the full stem
migrations/rollback/<stem>.sql  reverts it

A migration may only add, so that the running server works on the new schema, also after a rollback to it. A migration
that removes something declares it in a line of its own, `-- gaia: contract`.

Each file is applied in one transaction. CREATE INDEX CONCURRENTLY and DROP INDEX CONCURRENTLY, which PostgreSQL refuses
there, stand in a file of their own with the line `-- gaia: no-transaction`; in a rollback file likewise.
"""

import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path

from gaia_checks.deploy.migrations import index_statement, natural_order
from gaia_checks.deploy.migrations.index_statement import IndexStatement
from gaia_checks.deploy.migrations.transaction_control import transaction_control
from gaia_checks.errors import MigrationError

_MARKER = re.compile(r"^--[ \t]*gaia:[ \t]*(.*?)[ \t]*\r?$", re.MULTILINE)
_CONTRACT, _NO_TRANSACTION = "contract", "no-transaction"

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*")  # no path, and nothing that a shell or a terminal interprets


@dataclass(frozen=True, slots=True)
class Migration:
    """One migration; the checksums are the sha256 of its files' bytes."""

    version: str
    body: bytes
    checksum: str
    rollback: bytes | None
    rollback_checksum: str | None

    @property
    def contract(self) -> bool:
        """Whether it declares that it removes something."""
        return _CONTRACT in _markers(self.body)


def outside_transaction(body: bytes) -> IndexStatement | None:
    """Return the statement of a file that is applied outside a transaction, None for any other file."""
    return index_statement.parse(body.decode()) if _NO_TRANSACTION in _markers(body) else None


def read(folder: Path) -> tuple[Migration, ...]:
    """Read the migrations of `folder` in the order of order.txt, without one in their natural order.

    Raises MigrationError when order.txt and the files disagree, nothing determines the order, a file is a link, or
    controls transactions.
    """
    order = _order(folder)
    unlisted = sorted(_stems(folder) - set(order))
    if unlisted:
        raise MigrationError(
            f"{folder / 'order.txt'}: {unlisted[0]}.sql is missing; add it at its position in the order"
        )
    return tuple(_read_one(folder, stem) for stem in order)


def natural(folder: Path) -> bool:
    """Return whether the files' own numbers determine the order, because there is no order.txt."""
    return not os.path.lexists(folder / "order.txt") and bool(_stems(folder))


def note(folder: Path) -> str | None:
    """Return what to report of files whose own numbers determine the order; None where order.txt does."""
    if not natural(folder):
        return None
    return f"migrations: no order.txt; in the order of their numbers: {', '.join(_order(folder))}"


def _stems(folder: Path) -> set[str]:
    return {path.stem for path in folder.glob("*.sql")}


def _order(folder: Path) -> list[str]:
    path = folder / "order.txt"
    if natural(folder):
        return natural_order.sort(_checked(folder, sorted(_stems(folder))))
    try:
        lines = _content(folder, "order.txt").decode().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise MigrationError(f"{path}: cannot be read ({error}); list the migrations in it, in their order") from error
    names = [name.removesuffix(".sql") for line in lines if (name := line.partition("#")[0].strip())]
    return _checked(path, names)


def _checked(path: Path, names: list[str]) -> list[str]:
    """Return the names. Raises MigrationError for one that is no plain name, or is listed twice."""
    strange = next((name for name in names if not _NAME.fullmatch(name)), None)
    if strange:
        raise MigrationError(f"{path}: {strange!a} is not a name of letters, digits and _ . + -, e.g. 050_items.sql")
    duplicate = next((name for index, name in enumerate(names) if name in names[:index]), None)
    if duplicate:
        raise MigrationError(f"{path}: lists {duplicate} twice; keep the first entry")
    return names


def _read_one(folder: Path, stem: str) -> Migration:
    name = f"{stem}.sql"
    try:
        body = _content(folder, name)
    except OSError as error:
        raise MigrationError(
            f"{folder / 'order.txt'}: names {name}, which cannot be read ({error.strerror}); restore the file"
        ) from error
    try:
        rollback = _content(folder, f"rollback/{name}")
    except FileNotFoundError:
        rollback = None
    except OSError as error:
        raise MigrationError(f"rollback/{name}: cannot be read ({error.strerror}); restore the file") from error
    _check(name, body)
    if rollback is not None:
        _check(f"rollback/{name}", rollback)
    return Migration(stem, body, _sha256(body), rollback, _sha256(rollback) if rollback is not None else None)


def _content(folder: Path, name: str) -> bytes:
    """Return the bytes of a file of the folder. Raises MigrationError for a link, which may lead out of the commit."""
    path = folder / name
    link = next((part for part in (path.parent, path) if part != folder and part.is_symlink()), None)
    if link:
        kind = "folder" if link.is_dir() else "file"
        raise MigrationError(f"{link}: a symbolic link; replace it by the {kind} itself")
    if path.exists() and not path.is_file():
        raise MigrationError(f"{path}: not a file; replace it by a file")
    return path.read_bytes()


def _check(name: str, body: bytes) -> None:
    """Raise MigrationError for what PostgreSQL would read differently, and for transaction control."""
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise MigrationError(f"{name}: not UTF-8; save it as UTF-8") from error
    if text.startswith("\ufeff"):
        raise MigrationError(f"{name}: starts with a byte order mark; save it as UTF-8 without one")
    if "\0" in text:
        raise MigrationError(f"{name}: contains a NUL byte, where PostgreSQL stops reading; remove it")
    _check_markers(name, body)
    if found := transaction_control(text):
        line, words = found
        raise MigrationError(f"{name}:{line}: {words}: remove it; the runner applies each file in one transaction")


def _check_markers(name: str, body: bytes) -> None:
    found = _markers(body)
    unknown = sorted(found - {_CONTRACT, _NO_TRANSACTION})
    if unknown:
        raise MigrationError(f"{name}: `-- gaia: {unknown[0]}`: write {_CONTRACT} or {_NO_TRANSACTION}, or remove it")
    if _NO_TRANSACTION in found and outside_transaction(body) is None:
        raise MigrationError(
            f"{name}: `-- gaia: {_NO_TRANSACTION}`: the file must be exactly one statement, CREATE INDEX CONCURRENTLY "
            "name ON table or DROP INDEX CONCURRENTLY name; move other statements to files of their own"
        )


def _markers(body: bytes) -> set[str]:
    return set(_MARKER.findall(body.decode()))


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
