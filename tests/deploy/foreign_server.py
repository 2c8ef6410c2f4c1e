"""A foreign server: a real binary that implements none of the contract, compiled from foreign_server.c."""

import subprocess
from pathlib import Path

SOURCE = Path(__file__).with_name("foreign_server.c")


def build(folder: Path, version: str, *flags: str) -> Path:
    """Compile the server; the digest differs per version and flags."""
    target = folder / f"foreign-{version}{''.join(flags)}"
    if not target.exists():
        words = ("cc", "-O1", "-Wall", "-Werror", "-D_GNU_SOURCE", f'-DVERSION="{version}"', *flags)
        subprocess.run((*words, "-o", str(target), str(SOURCE)), check=True)
    return target
