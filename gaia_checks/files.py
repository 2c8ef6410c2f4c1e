"""Small things done with files: digests, durable writes, replacement in one step."""

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from gaia_checks.errors import EvidenceError
from gaia_checks.model import timestamp

import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from gaia_checks.deploy import fetch, migration_files, tag
from gaia_checks.environment import ROOT, inherited
from gaia_checks.errors import ArtifactError, MissingDependency
from gaia_checks.model import Release
from gaia_checks.redaction import SECRET_NAMES

def sha256(path: Path) -> str:
    """Return the sha256 of a file, as hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def to_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def replace(path: Path, value: Any) -> None:
    """Put `value` as JSON in place of what `path` holds: a reader sees the old or the new, never a part."""
    draft = path.with_name(f".{path.name}")
    draft.write_text(json.dumps(value, ensure_ascii=False), encoding="utf-8")
    draft.replace(path)
