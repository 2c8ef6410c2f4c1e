"""The probe of a fresh installation detects each fault of its catalogue; the real server has none."""

import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from gaia_checks.environment.project import ROOT
from gaia_checks.errors import Inconclusive
from gaia_checks.model import Measurement
from gaia_checks.probes.fresh_install import fresh_install_probe
from gaia_checks.probes.rehearsal.copy_protocol import BareCopyProtocol
from tests.probes import copies
from tests.probes.servers import target
from tests.support import altered_server, patched

MEASURED = ("defaults", "clients", "credentials", "changes", "shared_limits", "management")
LOCKED_OUT = (
    "a rule that refuses everything (global) locks administrators out: GET /api/admin/quotas/config: status 429"
)


def look(executable: Path, migrations: Path, folder: Path) -> dict[str, Measurement]:
    """Run the probe on a copy, and return its measurements by their names, without the prefix."""
    with (
        copies.released(executable, folder / "releases", migrations) as release,
        copies.bare_copy_of(release) as copy,
    ):
        observed = fresh_install_probe.on_copy(copy, threading.Event())
    return {each.name.removeprefix("fresh_install."): each for each in observed}


def test_the_real_server_protects_itself(executable: Path, tmp_path: Path) -> None:
    """Every sample of every trial is good."""
    observed = look(executable, copies.MIGRATIONS, tmp_path)
    assert [note for each in observed.values() for note in each.notes] == []
    assert {name: (each.value, each.n) for name, each in observed.items()} == {
        "defaults": (7, 7),
        "clients": (34, 34),
        "credentials": (33, 33),
        "changes": (8, 8),
        "shared_limits": (11, 11),
        "management": (12, 12),
    }


GLOBAL = "requests of an address, a key and a user to two processes left "

CAUGHT: Mapping[str, Mapping[str, str]] = {
    "addresses-stored-as-given": {"clients": "192.0.2.8 (through a trusted proxy) counts for nobody with a rule"},
    "administrators-locked-out": {"management": LOCKED_OUT},
    "buckets-not-locked": {"shared_limits": "passed a limit of 100"},
    "changes-not-announced": {"changes": "was enabled on one process and does not count on another"},
    "default-limit-of-a-hundred": {"defaults": "50 quick requests without a token reach no limit"},
    "default-minute-disabled": {"defaults": "the default rule default-ip-minute is disabled"},
    "first-forwarded-address": {"clients": "198.51.100.1, 192.0.2.7 (through a trusted proxy) counts for nobody"},
    "global-rules-count-each-client": {"shared_limits": GLOBAL},
    "guesses-unlimited": {
        "credentials": "a wrong token, after 10 wrong ones of its address, is answered with status 401"
    },
    "ipv6-by-address": {"clients": "2001:db8:0:7::1 (through a trusted proxy) counts for nobody with a rule"},
    "logins-not-limited": {"credentials": "is answered with status 401, not 429"},
    "mapped-ipv4-is-another-client": {"clients": "::ffff:192.0.2.7 (through a trusted proxy) counts for 192.0.2.8"},
    "short-signatures-accepted": {"credentials": "a longer token is answered with status 500, not 401"},
}
"""A fault of the catalogue -> the measurements that are not good, and a part of what they say."""


@pytest.mark.parametrize("fault", CAUGHT)
def test_a_fault_is_named_by_its_trial(fault: str, tmp_path: Path) -> None:
    """Only the trial that is about it is not good, and says what was wrong."""
    program, migrations = patched.source(tmp_path / "source")
    patch = ROOT / "faults" / "qa.fresh_install" / f"{fault}.patch"
    subprocess.run(("git", "apply", patch), cwd=tmp_path / "source", check=True)
    observed = look(program, migrations, tmp_path)
    wrong = {name: each for name, each in observed.items() if each.value != each.n or not each.n}
    assert wrong.keys() == CAUGHT[fault].keys(), observed
    for name, note in CAUGHT[fault].items():
        assert note in " ".join(wrong[name].notes), wrong[name].notes


def test_a_server_without_a_login_locks_nobody_out_of_it(tmp_path: Path) -> None:
    """Its administrators send the token; all other samples are good."""
    without = altered_server.write(tmp_path / "altered", ("http/routes.py", '"/admin/login"', '"/admin/another"'))
    observed = look(without, copies.MIGRATIONS, tmp_path)
    assert {name: each.value == each.n > 0 for name, each in observed.items()} == dict.fromkeys(observed, True)
    assert observed["management"].n == 10


def test_a_trial_that_cannot_be_taken_leaves_the_others(tmp_path: Path) -> None:
    """The listed rules lack what only the trial of the default ones reads."""
    items = "[{name: each[name] for name in each if name != 'scope'} for each in page.items]"
    odd = ("http/admin_api.py", '{"items": page.items,', f'{{"items": {items},')
    observed = look(altered_server.write(tmp_path / "altered", odd), copies.MIGRATIONS, tmp_path)
    defaults = observed.pop("defaults")
    assert (defaults.n, defaults.notes) == (0, ("not checked: KeyError 'scope'",))
    assert {name: each.value == each.n > 0 for name, each in observed.items()} == dict.fromkeys(observed, True)


def test_the_table_has_every_fault_of_the_criterion() -> None:
    """Each fault of the catalogue is tried here as well."""
    assert {each.stem for each in (ROOT / "faults" / "qa.fresh_install").glob("*.patch")} == CAUGHT.keys()


def test_without_a_rehearsal_copy_there_is_only_a_reason() -> None:
    """Nothing has samples, and every measurement gives the reason."""

    @contextmanager
    def none() -> Iterator[BareCopyProtocol]:
        raise Inconclusive("there can be no rehearsal copy: the disk is full")
        yield

    observed = fresh_install_probe.probe(target("http://127.0.0.1:1"), copy=none(), over=threading.Event())
    assert {(each.n, each.notes) for each in observed} == {(0, ("there can be no rehearsal copy: the disk is full",))}
    assert tuple(each.name.removeprefix("fresh_install.") for each in observed) == MEASURED
