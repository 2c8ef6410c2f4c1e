"""Copy or download an executable from the location in the environment file, and verify its sha256."""

import shutil
from pathlib import Path

from gaia_checks import files
from gaia_checks.errors import ArtifactError

TIMEOUT_S = 30.0
_CHUNK_BYTES = 1 << 20


def fetch(template: str, target: Path, *, phase: str, commit: str, sha256: str) -> None:
    """Copy or download the executable to `target`. Raises ArtifactError; removes a file with a wrong digest."""
    source = location(template, phase=phase, commit=commit, sha256=sha256)
    try:
        if source.startswith("/"):
            shutil.copyfile(source, target)
        else:
            _download(source, target)
    except OSError as error:
        raise ArtifactError(f"{source}: {error.strerror or error}") from error
    digest = files.sha256(target)
    if digest != sha256:
        target.unlink()
        raise ArtifactError(f"{source}: its sha256 is {digest}, but the tag names {sha256}; replace the file")


def location(template: str, *, phase: str, commit: str, sha256: str) -> str:
    """Return the path or URL that `server.artifact` means for one release. Raises ArtifactError for an unknown name."""
    try:
        return template.format(phase=phase, commit=commit, sha256=sha256)
    except (KeyError, IndexError, ValueError) as error:
        raise ArtifactError(
            f"server.artifact: {template!r}: {error}; it may name {{phase}}, {{commit}} and {{sha256}}"
        ) from error


def _download(url: str, target: Path) -> None:
    import httpx  # noqa: PLC0415 - `gaia status` reads releases and downloads nothing

    try:
        with httpx.stream("GET", url, timeout=TIMEOUT_S, follow_redirects=True) as response, target.open("wb") as file:
            response.raise_for_status()
            for chunk in response.iter_bytes(_CHUNK_BYTES):
                file.write(chunk)
    except httpx.HTTPError as error:
        raise ArtifactError(f"{url}: {error or type(error).__name__}") from error
