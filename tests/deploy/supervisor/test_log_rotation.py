"""The rotation of the server's log."""

import errno
from pathlib import Path

import pytest

from gaia_checks.deploy.supervisor import log_rotation


def test_rotation_loses_no_line_and_keeps_the_writers_descriptor(tmp_path: Path) -> None:
    """The content moves to .1 and older files move up; later lines go to the emptied file."""
    log = tmp_path / "server.log"
    with log.open("a") as writer:
        for number in range(log_rotation.KEPT + 3):
            writer.write(f"line {number}\n" * 10)
            writer.flush()
            assert log_rotation.rotate(log, limit_bytes=50)
        writer.write("now\n")
        writer.flush()
        assert not log_rotation.rotate(log, limit_bytes=50)
    assert log.read_text() == "now\n"
    kept = [(tmp_path / f"server.log.{n}").read_text() for n in range(1, log_rotation.KEPT + 1)]
    assert kept == [f"line {log_rotation.KEPT + 2 - n}\n" * 10 for n in range(log_rotation.KEPT)]
    assert len(list(tmp_path.iterdir())) == log_rotation.KEPT + 1


def test_a_rotation_on_a_full_disk_moves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A failed rotation keeps every file, because each retry would drop another one."""
    log, kept = tmp_path / "server.log", tmp_path / "server.log.1"
    log.write_text("now\n")
    kept.write_text("before\n")

    def refused(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("shutil.copyfileobj", refused)
    with pytest.raises(OSError, match="No space left"):
        log_rotation.rotate(log, limit_bytes=0)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {log.name: "now\n", kept.name: "before\n"}


def test_the_last_line_is_searched_from_the_offset(tmp_path: Path) -> None:
    """Lines before the offset, of an earlier process, are ignored."""
    log = tmp_path / "server.log"
    log.write_text("old\n")
    assert log_rotation.last_line(log, 4) == ""
    log.write_text("old\nnew\n\n")
    assert log_rotation.last_line(log, 4) == "new"
    assert log_rotation.last_line(tmp_path / "none") == ""
