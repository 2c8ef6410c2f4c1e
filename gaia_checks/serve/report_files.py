"""The files of reports that may be read: pages, pictures and JSON below the reports folder, and nothing else."""

from pathlib import Path
from urllib.parse import unquote

TYPES = {
    ".html": "text/html; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".png": "image/png",
}


def find(reports: Path, name: str) -> Path | None:
    """Return the file that a request names, None where there is none to be read. Links may not lead out."""
    parts = unquote(name).split("/")
    if any(part.startswith(".") or "\0" in part for part in parts):
        return None
    try:
        path = reports.joinpath(*parts).resolve(strict=True)
    except (OSError, RuntimeError):  # there is none, or links lead in a circle
        return None
    inside = path.is_relative_to(reports.resolve()) and path.is_file()
    return path if inside and path.suffix in TYPES else None
