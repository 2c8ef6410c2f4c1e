"""Files that are replaced as a whole, on any filesystem."""

import stat
import subprocess
import sys
from pathlib import Path

import pytest

from gaia_checks import files
from gaia_checks.environment.project import ROOT
from tests.support import filesystems

FILL = """
import sys
from pathlib import Path
from gaia_checks import files
path = Path(sys.argv[1]) / "verdict.json"
files.replace(path, "old", durable=True)
try:
    files.replace(path, "x" * 4_000_000, durable=True)
except OSError as error:
    print(error.strerror)
print(path.read_text(), [each.name for each in path.parent.iterdir()])
"""


@pytest.mark.parametrize("durable", [False, True])
def test_the_content_is_replaced_and_no_draft_stays(tmp_path: Path, *, durable: bool) -> None:
    """Text is written as UTF-8."""
    path = tmp_path / "file"
    path.write_text("something longer than the new content")
    files.replace(path, "Größe", durable=durable)
    assert path.read_text(encoding="utf-8") == "Größe"
    assert list(tmp_path.iterdir()) == [path]


def test_a_private_file_is_private_from_its_creation(tmp_path: Path) -> None:
    """The draft has the mode already; it replaces a file that others could read."""
    (tmp_path / "file").touch(mode=0o644)
    files.replace(tmp_path / "file", "secret", mode=0o600)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o600


def test_a_draft_lies_beside_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So the folder for temporary files may lie on another filesystem."""
    with filesystems.in_memory() as other:
        assert other.stat().st_dev != tmp_path.stat().st_dev
        monkeypatch.setenv("TMPDIR", str(tmp_path))
        files.replace_json(other / "file", {"name": "Größe"})
        assert (other / "file").read_text(encoding="utf-8") == '{"name": "Größe"}'


def test_a_full_disk_leaves_the_old_content_and_no_draft(tmp_path: Path) -> None:
    """On a filesystem of 3 MB, 4 MB do not replace three bytes."""
    command = (sys.executable, "-c", FILL, str(tmp_path))
    done = subprocess.run(
        filesystems.among(filesystems.small(tmp_path, 3000), command=command),
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.splitlines() == ["No space left on device", "old ['verdict.json']"]
