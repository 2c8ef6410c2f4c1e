"""An executable from where the environment file says that it is, believed only when its digest is right."""

import hashlib
import shutil
from pathlib import Path

import httpx

from gaia_checks.errors import ArtifactError

TIMEOUT_S = 30.0
_CHUNK_BYTES = 1 << 20


def fetch(template: str, target: Path, *, phase: str, commit: str, sha256: str) -> None:
    """Copy or download the executable to `target`. Raises ArtifactError; a wrong digest leaves nothing."""
    try:
        source = template.format(phase=phase, commit=commit, sha256=sha256)
    except (KeyError, IndexError, ValueError) as error:
        raise ArtifactError(
            f"server.artifact: {template!r}: {error}; it may name {{phase}}, {{commit}} and {{sha256}}"
        ) from error
    try:
        if source.startswith("/"):
            shutil.copyfile(source, target)
        else:
            _download(source, target)
    except OSError as error:
        raise ArtifactError(f"{source}: {error.strerror or error}") from error
    except httpx.HTTPError as error:
        raise ArtifactError(f"{source}: {error or type(error).__name__}") from error
    with target.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != sha256:
        target.unlink()
        raise ArtifactError(f"{source}: its sha256 is {found}, but the tag names {sha256}; put the right file there")


def _download(url: str, target: Path) -> None:
    with httpx.stream("GET", url, timeout=TIMEOUT_S, follow_redirects=True) as answer, target.open("wb") as file:
        answer.raise_for_status()
        for chunk in answer.iter_bytes(_CHUNK_BYTES):
            file.write(chunk)
