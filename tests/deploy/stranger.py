"""A real binary that knows nothing of gaia, compiled from stranger.c."""

import subprocess
from pathlib import Path

SOURCE = Path(__file__).with_name("stranger.c")


def build(folder: Path, version: str, *flags: str) -> Path:
    """Compile it; every version and flag has a digest of its own."""
    target = folder / f"stranger-{version}{''.join(flags)}"
    if not target.exists():
        words = ("cc", "-O1", "-Wall", "-Werror", "-D_GNU_SOURCE", f'-DVERSION="{version}"', *flags)
        subprocess.run((*words, "-o", str(target), str(SOURCE)), check=True)
    return target
