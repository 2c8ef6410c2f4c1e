"""Rollback to the previous release keeps stored data; a failed rollback is reported."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path

import pytest

from gaia_checks.deploy.rehearsal import stand_in_release
from gaia_checks.deploy.rehearsal.rehearsal_copy import RehearsalCopy
from gaia_checks.deploy.release import links, release_folder
from gaia_checks.deploy.state import paths
from gaia_checks.model import Measurement
from gaia_checks.probes.rehearsal import rollback
from tests.deploy.stage import FAKE
from tests.probes import copies
from tests.probes.servers import RUN, target


@contextmanager
def copy_of(executable: Path, folder: Path, migrations: Path = copies.MIGRATIONS) -> Iterator[RehearsalCopy]:
    """A rehearsal copy beside a target without a previous release."""
    with copies.place() as here:
        origin = replace(here, home=folder / "target")
        paths.prepare(paths.of(origin))
        try:
            current = release_folder.from_worktree(
                paths.of(origin).releases, executable=executable, migrations=migrations
            )
            yield RehearsalCopy(here, origin, RUN, current, stand_in=False)
        finally:
            release_folder.remove(origin.home)


def precede(copy: RehearsalCopy, before: Path) -> None:
    """Make a release the previous one."""
    links.point(paths.of(copy.origin).releases, current=copy.current, previous=before)


def look(copy: RehearsalCopy) -> dict[str, Measurement]:
    """Run the probe and return its measurements, without the prefix of their names."""
    observed = rollback.probe(target("http://127.0.0.1:1"), copy=nullcontext(copy))
    return {each.name.removeprefix("rollback."): each for each in observed}


def test_the_release_before_comes_back_and_what_the_current_one_has_deleted_is_missed(
    executable: Path, tmp_path: Path
) -> None:
    """Deleted quotas are named after every step; the rest of the rollback works."""
    migrations = copies.variant(tmp_path / "migrations")
    (migrations / "051_forget.sql").write_text("DELETE FROM resource_quotas;\n")
    (migrations / "rollback" / "051_forget.sql").write_text("SELECT 1;\n")
    with (migrations / "order.txt").open("a") as order:
        order.write("051_forget.sql\n")
    with copy_of(executable, tmp_path, migrations) as copy:
        precede(copy, release_folder.from_worktree(paths.of(copy.origin).releases, executable=executable))
        observed = look(copy)
    restored = observed["previous_restored"]
    assert restored.how.startswith("the previous release, then the current one deployed over it")
    assert restored.value is False
    assert restored.notes[0] == (
        "deploying the current release over it: daily_quota: GET /api/admin/quotas/usage reports 0 used and 100 left, "
        "should be 3 used and 97 left"
    )
    assert [note.partition(": GET ")[0] for note in restored.notes[1:]] == [
        "rolling back: daily_quota",
        "deploying the current release again: daily_quota",
    ]
    assert observed["seconds"].value > 0
    assert (observed["schema_equal"].value, observed["schema_equal"].n) == (True, 1)


def test_a_release_that_no_longer_starts_and_what_rollback_files_leave_are_named(
    executable: Path, tmp_path: Path
) -> None:
    """Both fail, each with its own reason."""
    migrations = copies.variant(
        tmp_path / "migrations", ("DROP TABLE rate_limit_stats;\n", ""), file="rollback/050_rate_limiting.sql"
    )
    crashing = tmp_path / "crashing"
    crashing.write_text(FAKE.read_text().replace('BEHAVIOUR = "serve"', 'BEHAVIOUR = "crash"'))
    with copy_of(executable, tmp_path, migrations) as copy:
        precede(copy, release_folder.from_worktree(paths.of(copy.origin).releases, executable=crashing))
        observed = look(copy)
    restored, schema = observed["previous_restored"], observed["schema_equal"]
    assert (restored.value, restored.n, observed["seconds"].n) == (False, 1, 0)
    assert "deploying the previous release: worktree-" in restored.notes[0]
    assert "exited with exit code 1 before it was ready" in restored.notes[0]
    assert (schema.value, schema.n) == (False, 1)
    assert schema.notes[0] == "TABLE public.rate_limit_stats: not removed by the rollback files"


@pytest.mark.parametrize("damaged", [False, True])
def test_without_a_whole_release_before_nothing_is_decided(executable: Path, tmp_path: Path, damaged: bool) -> None:
    """Without the released previous build there is no sample but a reason; the schema is still checked."""
    with copy_of(executable, tmp_path) as copy:
        if damaged:
            before = stand_in_release.make(copy.current, paths.of(copy.origin).releases)
            precede(copy, before)
            (before / "gaia_server").chmod(0o755)
            (before / "gaia_server").write_bytes(b"#!/bin/sh\n")
        observed = look(copy)
    reason = "gaia_server is not the one that was released" if damaged else "there is no previous release here; deploy"
    for name in ("previous_restored", "seconds"):
        assert observed[name].n == 0
        assert reason in observed[name].notes[0]
    assert observed["schema_equal"].value is True
