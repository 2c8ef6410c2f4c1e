"""Migrations that squawk reads."""

from pathlib import Path

import pytest

from gaia_checks.deploy.migrations import lint
from gaia_checks.errors import MissingDependency


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (("sh", "-c", "kill -9 $$"), "squawk did not read the migrations: exit code -9; mend that or run: make inst"),
        (("sh", "-c", "echo no library >&2; exit 127"), "squawk did not read the migrations: no library; mend"),
        (("/dev/null",), "squawk cannot be started: Permission denied; run: make install"),
        (("/nowhere/squawk",), "squawk cannot be started: No such file or directory; run: make install"),
    ],
)
def test_migrations_that_squawk_did_not_read_do_not_pass(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, argv: tuple[str, ...], message: str
) -> None:
    """Killed or not started it finds nothing, either; only what it says itself counts as nothing."""
    (tmp_path / "order.txt").write_text("001_a.sql\n")
    (tmp_path / "001_a.sql").write_text("CREATE TABLE IF NOT EXISTS a (id bigint);\n")
    lint.check(tmp_path, ["001_a"], ())
    monkeypatch.setattr(lint, "command", lambda *_: argv)
    with pytest.raises(MissingDependency, match=message):
        lint.check(tmp_path, ["001_a"], ())
