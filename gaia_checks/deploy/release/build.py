"""Build `build/gaia_server`, the server's single executable: `python -m gaia_checks.deploy.release.build`.

The build is reproducible: the same sources give the same bytes with the same Python and zlib, anywhere and at any
time. The archive omits what varies between installations (launchers with a path, records, modes) and fixes timestamps.
"""

import hashlib
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import zipfile
from pathlib import Path

from gaia_checks.environment.process_variables import inherited
from gaia_checks.environment.project import ROOT
from gaia_checks.errors import ArtifactError, GaiaError

NAME = "gaia_server"
EPOCH = "315532800"  # 1980-01-01, the earliest timestamp of the zip format
MODE = 0o100644 << 16  # in a zip entry's external attributes: a plain file

_UNWANTED = (
    "bin",
    "*.dist-info/RECORD",
    "*.dist-info/REQUESTED",
    "*.dist-info/INSTALLER",
    "*.dist-info/direct_url.json",
)

# Compiled dependencies fit one version of Python; any other version exits with one line.
_PREAMBLE = """\
import sys

built, here = {version!r}, "%d.%d" % sys.version_info[:2]
if here != built:
    sys.exit(f"gaia_server: built for Python {{built}}, run by {{here}}: start it as `python{{built}} {{sys.argv[0]}}`")
"""


def main() -> None:
    """Build the executable; print its path, sha256 and size in bytes."""
    try:
        executable = build(ROOT)
    except GaiaError as error:
        print(f"build: {error}", file=sys.stderr)  # noqa: T201 - a program
        raise SystemExit(error.exit_code) from error
    content = executable.read_bytes()
    print(f"build/{NAME}  {hashlib.sha256(content).hexdigest()}  {len(content)}")  # noqa: T201 - a program


def build(root: Path, *, folder: Path | None = None) -> Path:
    """Build the server of the project at `root` into `folder` (`root`/build); return the executable.

    Raises ArtifactError when a step fails; an existing executable stays.
    """
    folder = folder or root / "build"
    folder.mkdir(parents=True, exist_ok=True)
    dependencies = installed(root / NAME / "requirements.txt", folder)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".building-") as temporary:
        staging = Path(temporary)
        shutil.copytree(
            root / NAME, staging / "app" / NAME, ignore=shutil.ignore_patterns("__pycache__", "requirements*")
        )
        (staging / "preamble.py").write_text(_PREAMBLE.format(version=sysconfig.get_python_version()))
        _run(archive_command(dependencies, staging), "shiv cannot pack it")
        _normalize(staging / "packed", staging / NAME)
        (staging / NAME).chmod(0o755)
        return (staging / NAME).replace(folder / NAME)


def archive_command(dependencies: Path, staging: Path) -> tuple[str, ...]:
    """Return the command that packs dependencies and application.

    Without `--compile-pyc`: a first start compiles what it imports, 315 of 547 modules, and takes a third less time.
    """
    return (
        *(sys.executable, "-m", "shiv.cli", "--reproducible", "--compressed"),
        *("--python", "/usr/bin/env python3", "--entry-point", f"{NAME}.__main__:main"),
        *("--preamble", str(staging / "preamble.py"), "--output-file", str(staging / "packed")),
        *("--site-packages", str(dependencies), "--site-packages", str(staging / "app")),
    )


def installed(requirements: Path, folder: Path) -> Path:
    """Return a folder with the installed requirements, cached below `folder` until the requirements change."""
    inputs = hashlib.sha256(requirements.read_bytes() + f"{sys.version}{sysconfig.get_platform()}".encode())
    cached = folder / f".dependencies-{inputs.hexdigest()[:16]}"
    if cached.is_dir():
        return cached
    with tempfile.TemporaryDirectory(dir=folder, prefix=".installing-") as temporary:
        target = Path(temporary) / "target"
        _run(install_command(requirements, target), "its dependencies cannot be installed")
        _prune(target)
        for old in folder.glob(".dependencies-*"):
            shutil.rmtree(old, ignore_errors=True)
        return target.replace(cached) if not cached.exists() else cached


def install_command(requirements: Path, target: Path) -> tuple[str, ...]:
    """Return the command that installs the locked requirements."""
    return (
        *(sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile"),
        *("--require-hashes", "--no-deps", "--requirement", str(requirements), "--target", str(target)),
    )


def _prune(target: Path) -> None:
    """Remove the files that record where and how the packages were installed."""
    for pattern in _UNWANTED:
        for path in target.glob(pattern):
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def _normalize(packed: Path, result: Path) -> None:
    """Rewrite `packed` with one mode for every file, because pip's modes depend on the umask."""
    with zipfile.ZipFile(packed) as source, result.open("wb") as file:
        file.write(b"#!/usr/bin/env python3\n")
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as target:
            for entry in sorted(source.infolist(), key=lambda entry: entry.filename):
                normalized = zipfile.ZipInfo(entry.filename, entry.date_time)
                normalized.compress_type, normalized.external_attr = zipfile.ZIP_DEFLATED, MODE
                target.writestr(normalized, source.read(entry))


def _run(command: tuple[str, ...], problem: str) -> None:
    variables = inherited(SOURCE_DATE_EPOCH=EPOCH, PYTHONWARNINGS="ignore", PYTHONHASHSEED="0")
    done = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)
    if done.returncode:
        output = (done.stderr or done.stdout).strip().splitlines()
        raise ArtifactError(f"build/{NAME}: {problem}: {output[-1] if output else f'exit code {done.returncode}'}")


if __name__ == "__main__":
    main()
