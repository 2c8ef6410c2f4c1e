"""Linting migrations with squawk."""

from pathlib import Path

import pytest

from gaia_checks.deploy.migrations import lint
from gaia_checks.errors import MissingDependency


@pytest.mark.parametrize(
    ("command_line", "message"),
    [
        (("sh", "-c", "kill -9 $$"), "squawk did not read the migrations: exit code -9; fix that or run: make inst"),
        (("sh", "-c", "echo no library >&2; exit 127"), "squawk did not read the migrations: no library; fix"),
        (("/dev/null",), "squawk cannot be started: Permission denied; run: make install"),
        (("/nowhere/squawk",), "squawk cannot be started: No such file or directory; run: make install"),
    ],
)
def test_migrations_do_not_pass_when_squawk_did_not_read_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command_line: tuple[str, ...], message: str
) -> None:
    """A squawk that was killed or did not start is an error, not an empty list of findings."""
    (tmp_path / "order.txt").write_text("001_a.sql\n")
    (tmp_path / "001_a.sql").write_text("CREATE TABLE IF NOT EXISTS a (id bigint);\n")
    lint.check(tmp_path, ["001_a"], ())
    monkeypatch.setattr(lint, "command", lambda *_: command_line)
    with pytest.raises(MissingDependency, match=message):
        lint.check(tmp_path, ["001_a"], ())
