"""The dashboard probe: the real page passes; each fault shows in its own measurement."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from gaia_checks.deploy.supervisor.spawn import free_port
from gaia_checks.environment.project import ROOT
from gaia_checks.errors import Inconclusive, TargetUnreachable
from gaia_checks.judge import criteria_file
from gaia_checks.model import Measurement, Target
from gaia_checks.probes.dashboard import dashboard_probe
from gaia_checks.probes.dashboard.page_object import TABS
from gaia_checks.probes.dashboard.probe_rule import own_rule
from gaia_checks.target.client import client, key
from tests.faults import server as faults
from tests.faults.way import Way
from tests.faults.wrong import Answered, Changed
from tests.probes import servers
from tests.probes.conftest import announce, migrated
from tests.probes.servers import TOKEN, answering, serving, target
from tests.support import certificates

FILES = ROOT / "gaia_server" / "dashboard"
WELL = {"tabs_working": 6, "live_update_observed": True, "reconnected": True, "rule_edited": True, "errors": 0}


class Place:
    """A real server whose faults can be switched on."""

    def __init__(self, target: Target, switch: faults.Switch) -> None:
        self.target = target
        self.switch = switch

    def traces(self) -> list[str]:
        """Where the probe's rule, or its counts, are left over."""
        name = f"{key(self.target)}-dashboard"
        queries = {
            "config": {"rule_name": name},
            "usage": {"key": f"api_key:{name}"},
            "violations": {"key": f"api_key:{name}"},
        }
        with client(self.target) as http:
            answers = {kind: http.get(f"/api/admin/quotas/{kind}", params=given) for kind, given in queries.items()}
        return [kind for kind, answer in answers.items() if answer.json()["total"]]


@pytest.fixture(scope="module")
def place(postgres: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A server with an admin token whose analytics already have decisions, as under a gate."""
    folder = tmp_path_factory.mktemp("dashboard")
    executable, switch = faults.write(folder)
    with migrated(postgres) as dsn, servers.real(executable, dsn, folder / "server.log") as target:
        announce(target)
        until(lambda: decided(target) > 0)
        yield Place(target, switch)


def until(happened: Callable[[], bool], within_s: float = 15) -> None:
    """Wait for something."""
    deadline_s = time.monotonic() + within_s
    while not happened():
        assert time.monotonic() < deadline_s
        time.sleep(0.05)


def decided(at: Target) -> int:
    """How many admitted requests the server reports."""
    with client(at) as http:
        admitted: int = http.get("/api/admin/quotas/analytics").json()["totals"]["admitted"]
    return admitted


def look(at: Target, **changes: Any) -> dict[str, Measurement]:
    """Run the probe and return its measurements, without the prefix of their names."""
    patience = {"ready_within_s": 4, "live_within_s": 5, "reconnect_within_s": 31, **changes}
    return {observed.name.removeprefix("dashboard."): observed for observed in dashboard_probe.probe(at, **patience)}


def wrong(observed: dict[str, Measurement]) -> dict[str, tuple[str, ...]]:
    """The failed measurements, with their notes."""
    return {name: observed[name].notes for name, well in WELL.items() if observed[name].value != well}


def test_the_real_page_does_everything(place: Place, tmp_path: Path) -> None:
    """It gives all required measurements and a screenshot of each tab, and leaves nothing behind."""
    observed = look(place.target, pictures=tmp_path)
    assert wrong(observed) == {}
    assert observed["tabs_working"].n == 6
    assert 0 < observed["reconnect"].value < 31
    promised = next(one for one in criteria_file.load().criteria if one.id == "qa.dashboard")
    assert {f"dashboard.{name}" for name in observed} == {check.measurement for check in promised.checks}
    names = ["1-overview", "2-users", "3-analytics", "4-violations", "5-alerts", "6-health", "7-cut"]
    pictures = sorted(tmp_path.iterdir())
    assert [path.name for path in pictures] == [f"{name}.jpg" for name in names]
    assert all(path.read_bytes().startswith(b"\xff\xd8") and path.stat().st_size < 100_000 for path in pictures)
    assert place.traces() == []


def scripts(*changes: tuple[str, str, str]) -> tuple[Way, ...]:
    """A fault that replaces texts in the page's scripts."""
    for file, old, _ in changes:
        assert old in (FILES / file).read_text(), old
    return tuple(
        Changed(request=f"GET /admin/assets/{file}", old=re.escape(old), new=new) for file, old, new in changes
    )


FAULTS: dict[str, tuple[tuple[Way, ...], dict[str, tuple[str, ...]]]] = {
    "a tab's data answers 500": (
        (Answered(request="GET /api/admin/quotas/alerts", status=500),),
        {
            "tabs_working": ("Alerts: the panel stayed busy within 3 s; it says: The server answered 500.",),
            "errors": ("GET /api/admin/quotas/alerts answered 500",),
        },
    ),
    "neither a new rule is shown nor a lost connection noticed": (
        scripts(
            ("panels/ruleform.js", "saved(id);", ""),
            ("panels/overview.js", "Promise.all([history(), configuration.refresh()])", "history()"),
            ("live.js", "if (socket === this.#socket) this.#lost(event.code);", ""),
        ),
        {
            "rule_edited": ("shows no row with client-",),
            "reconnected": ("says 'connected' 5 s after its connection was cut",),
        },
    ),
    "violations are not sent": (
        scripts(("panels/violations.js", 'addEventListener("violation"', 'addEventListener("nothing"')),
        {"live_update_observed": ("Violations did not show it within 4 s after a request was refused",)},
    ),
    "it gives up": (
        scripts(("live.js", "code >= 4400", "code >= 1000")),
        {"reconnected": ("says 'offline'",)},
    ),
    "Escape closes no form": (
        scripts(
            (
                "panels/ruleform.js",
                'dialog.addEventListener("close"',
                'dialog.addEventListener("cancel", (event) => event.preventDefault()); dialog.addEventListener("close"',
            )
        ),
        {"rule_edited": ("a dialog is not closed by Escape within 3 s",)},
    ),
    "a script fails": (
        scripts(("main.js", "setInterval(countDown, 500);", "setTimeout(() => { throw new Error('seeded') }, 0);")),
        {"errors": ("script error: seeded",)},
    ),
    "there is one message and no more": (
        scripts(("live.js", "#receive(message) {", "#receive(message) { if (this.seq) return;")),
        {
            "live_update_observed": ("the page got no message within 4 s after a request was refused",),
            "reconnected": ("connected, but no message came within 6 s",),
        },
    ),
    "all but live": (
        scripts(
            ("main.js", "byId(`panel-${name}`).set", "if (name !== 'health') byId(`panel-${name}`).set"),
            ("main.js", "ArrowRight: index + 1", "ArrowRight: Math.min(index + 1, 4)"),
            ("panels/alerts.js", "cell: (rule) => rule.name", "cell: () => '?'"),
            ("panels/rules.js", " await remove(rule);", ";"),
            ("live.js", "setTimeout(() => this.connect(), wait)", "null"),
            ("login.js", "form.reset();", "document.body.append(form.elements.token.value); form.reset();"),
        ),
        {
            "tabs_working": (
                "Overview: not reached by the arrow key within 1 s",
                "Alerts: does not show the alert violations_per_minute within 3 s",
                "Health: the panel stayed busy within 1.5 s",
            ),
            "rule_edited": ("a rule is not removed by its button within 1 s",),
            "reconnected": ("says 'reconnecting'",),
            "errors": ("the admin token can be read on the page",),
        },
    ),
    "there is no page": (
        (Answered(request=r"GET /admin/quotas\n", status=404),),
        {
            **dict.fromkeys(
                ("live_update_observed", "reconnected", "rule_edited"), ("GET /admin/quotas answered 404",)
            ),
            "tabs_working": tuple(f"{tab.title()}: GET /admin/quotas answered 404" for tab in TABS[:5]),
            "errors": ("GET /admin/quotas answered 404",),
        },
    ),
}
BACK_IN_TIME = FAULTS.keys() - {fault for fault, (_, found) in FAULTS.items() if "reconnected" in found} | {
    "there is one message and no more"
}
NO_PICTURES = {"all but live", "there is no page"}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_found_where_it_belongs(place: Place, tmp_path: Path, fault: str) -> None:
    """Only this measurement fails, with a note; nothing is left over, no screenshot shows the token."""
    ways, expected = FAULTS[fault]
    with place.switch.on(*ways):
        observed = look(place.target, ready_within_s=3, live_within_s=4, reconnect_within_s=5, pictures=tmp_path)
    found = wrong(observed)
    assert found.keys() == expected.keys(), found
    for name, notes in expected.items():
        assert len(found[name]) == len(notes)
        assert all(map(str.startswith, found[name], notes)), found
    assert (observed["reconnect"].value <= 5) is (fault in BACK_IN_TIME)
    assert TOKEN not in repr(observed)
    assert (list(tmp_path.iterdir()) == []) is (fault in NO_PICTURES)
    assert place.traces() == []


def test_a_page_behind_tls_is_used_under_its_own_name(
    postgres: str, executable: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Works at an IPv6 address, with an authority of SSL_CERT_FILE."""
    certificate = certificates.make(tmp_path, "IP:::1")
    monkeypatch.setenv("SSL_CERT_FILE", certificate.authority)
    with (
        migrated(postgres) as dsn,
        servers.real(executable, dsn, tmp_path / "server.log") as behind,
        servers.secured(behind, certificate) as secured,
    ):
        announce(secured)
        until(lambda: decided(secured) > 0)
        assert wrong(look(secured)) == {}


def test_a_token_that_is_not_taken_leads_nowhere(place: Place) -> None:
    """The note quotes the page's alert about the wrong token."""
    observed = look(replace(place.target, admin_token="another-token"), ready_within_s=2)
    assert wrong(observed).keys() == WELL.keys() - {"errors"}
    assert wrong(observed)["rule_edited"] == (
        "sign-in with the admin token has no effect within 2 s; it says: This is not the admin token.",
    )


def test_a_required_token_that_is_missing_decides_nothing(place: Place) -> None:
    """The message names the variable to set."""
    with pytest.raises(Inconclusive, match="requires the admin token, and the gate has none; set ADMIN_TOKEN"):
        look(replace(place.target, admin_token=None))


def test_an_unhealthy_server_is_inconclusive() -> None:
    """An unhealthy server makes the probe inconclusive."""
    unwell = answering("/health", {"status": "unhealthy"}, 503)
    with serving(unwell) as url, pytest.raises(Inconclusive, match="GET /health answered 503"):
        look(target(url))


def test_no_listener_is_no_data() -> None:
    """Without a listener the probe raises TargetUnreachable."""
    with pytest.raises(TargetUnreachable, match="is it running"):
        look(target(f"http://127.0.0.1:{free_port()}"))


LOOK = """
import json, sys
from gaia_checks.model import Target
from gaia_checks.probes.dashboard import dashboard_probe
target = Target.from_json(json.load(sys.stdin))
dashboard_probe.probe(target, ready_within_s=4, live_within_s=5, reconnect_within_s=31)
"""


@contextmanager
def looking(place: Place, folder: Path) -> Iterator[tuple[subprocess.Popen[str], list[psutil.Process]]]:
    """A probe in its own process, in the middle of its work, with its child processes."""
    (folder / "target.json").write_text(json.dumps(place.target.to_json()))
    with (folder / "target.json").open() as record:
        process = subprocess.Popen(
            [sys.executable, "-c", LOOK],
            cwd=ROOT, stdin=record, stderr=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip
    try:
        until(lambda: "config" in place.traces())
        yield process, psutil.Process(process.pid).children(recursive=True)
    finally:
        process.kill()
        process.communicate()


def test_an_interrupted_look_leaves_nothing(place: Place, tmp_path: Path) -> None:
    """An interrupt stops browser and probe, removes the rule, and prints only the interrupt."""
    with looking(place, tmp_path) as (process, started):
        os.killpg(process.pid, signal.SIGINT)
        _, said = process.communicate(timeout=10)
        assert psutil.wait_procs(started, timeout=10)[1] == []
    assert said.rstrip().endswith("KeyboardInterrupt")
    assert "never retrieved" not in said
    assert place.traces() == []


def test_a_killed_look_leaves_no_browser(place: Place, tmp_path: Path) -> None:
    """After a kill only the rule is left, for the next gate to remove."""
    with looking(place, tmp_path) as (process, started):
        assert any("chrom" in one.name() for one in started)
        process.kill()
        assert psutil.wait_procs(started, timeout=10)[1] == []
    with client(place.target) as http, own_rule(place.target, http, "dashboard"):
        pass
