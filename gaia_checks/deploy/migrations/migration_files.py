"""Reads migrations from their files.

migrations/order.txt            file names in the order of application; `#` starts a comment
migrations/<stem>.sql           one migration; its version is the full stem
migrations/rollback/<stem>.sql  reverts it

A migration may only add, so that the running server works on the new schema, also after a rollback to it. A migration
that removes something declares it in a line of its own, `-- gaia: contract`.
"""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from gaia_checks.deploy.migrations.transaction_control import transaction_control
from gaia_checks.errors import MigrationError

_CONTRACT = re.compile(rb"^--[ \t]*gaia:[ \t]*contract[ \t]*\r?$", re.MULTILINE)


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
        return _CONTRACT.search(self.body) is not None


def read(folder: Path) -> tuple[Migration, ...]:
    """Read the migrations of `folder` in the order of order.txt.

    Raises MigrationError when order.txt and the files disagree, or a file controls transactions.
    """
    order = _order(folder)
    unlisted = sorted({path.stem for path in folder.glob("*.sql")} - set(order))
    if unlisted:
        raise MigrationError(
            f"{folder / 'order.txt'}: {unlisted[0]}.sql is missing; add it at its position in the order"
        )
    return tuple(_read_one(folder, stem) for stem in order)


def _order(folder: Path) -> list[str]:
    path = folder / "order.txt"
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise MigrationError(f"{path}: cannot be read ({error}); list the migrations in it, in their order") from error
    names = [name for line in lines if (name := line.partition("#")[0].strip())]
    duplicate = next((name for index, name in enumerate(names) if name in names[:index]), None)
    if duplicate:
        raise MigrationError(f"{path}: lists {duplicate} twice; keep the first entry")
    return [name.removesuffix(".sql") for name in names]


def _read_one(folder: Path, stem: str) -> Migration:
    try:
        body = (folder / f"{stem}.sql").read_bytes()
    except OSError as error:
        raise MigrationError(
            f"{folder / 'order.txt'}: names {stem}.sql, which cannot be read ({error.strerror}); restore the file"
        ) from error
    path = folder / "rollback" / f"{stem}.sql"
    rollback = path.read_bytes() if path.exists() else None
    _refuse_transaction_control(f"{stem}.sql", body)
    if rollback is not None:
        _refuse_transaction_control(f"rollback/{stem}.sql", rollback)
    return Migration(stem, body, _sha256(body), rollback, _sha256(rollback) if rollback is not None else None)


def _refuse_transaction_control(name: str, body: bytes) -> None:
    try:
        found = transaction_control(body.decode())
    except UnicodeDecodeError as error:
        raise MigrationError(f"{name}: not UTF-8; save it as UTF-8") from error
    if found:
        line, words = found
        raise MigrationError(f"{name}:{line}: {words}: remove it; the runner applies each file in one transaction")


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
