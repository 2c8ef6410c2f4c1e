"""The soak, on real WebSockets of a server whose faults are chosen."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from gaia_checks.deploy.supervisor.spawn import free_port
from gaia_checks.model import Measurement
from gaia_checks.recorders.base.timeline import Timeline
from gaia_checks.recorders.soak import soak_clients, soak_recorder, trigger_events
from gaia_checks.target import temporary_rules
from gaia_checks.target.client import key as run_key
from tests.probes.servers import serving, target
from tests.recorders import stage
from tests.recorders.stage import Server

CLIENTS = 5
WINDOW_S = 1.0


@pytest.fixture(autouse=True)
def in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten all times; the steps are those of a real soak."""
    monkeypatch.setattr(soak_clients, "CONNECTING_S", 0.1)
    monkeypatch.setattr(trigger_events, "SPACING_S", 0.002)
    monkeypatch.setattr(temporary_rules, "SETTLE_S", 0.0)
    monkeypatch.setattr(trigger_events, "QUIET_WITHIN_S", 0.7)
    monkeypatch.setattr(trigger_events, "LASTS_S", 0.5)
    monkeypatch.setattr(trigger_events, "VIOLATION_WITHIN_S", 0.7)
    monkeypatch.setattr(trigger_events, "ALERT_WITHIN_S", 0.7)
    monkeypatch.setattr(trigger_events, "RESOLVED_WITHIN_S", 0.7)
    monkeypatch.setattr(trigger_events, "AGAIN_S", 0.1)


def look(server: Server, folder: Path, window_s: float = WINDOW_S) -> dict[str, Measurement]:
    """Soak a server."""
    with serving(*server.routes) as url:
        return stage.run(soak_recorder.record, target(url), folder, clients=CLIENTS, window_s=window_s)


def values(observed: dict[str, Measurement]) -> dict[str, Any]:
    """Name without its prefix -> value."""
    return {name.removeprefix("soak."): measurement.value for name, measurement in observed.items()}


def test_a_correct_server_passes(tmp_path: Path) -> None:
    """All connected, none dropped, no gap, both events delivered to all; the rule was created and removed."""
    server = Server()
    observed = look(server, tmp_path)
    found = values(observed)
    assert found.pop("stats_gap") < WINDOW_S
    assert found.pop("heartbeat_gap") < WINDOW_S
    assert 0 < found.pop("reconnect") < WINDOW_S
    assert [gap for gaps in found.pop("gaps") for gap in gaps if gap >= WINDOW_S] == []
    assert found == {
        "clients_connected": CLIENTS,
        "drops": 0,
        "violation_delivered": CLIENTS,
        "alert_delivered": CLIENTS,
        "bad_messages": 0,
        "dead_client_closed": False,
    }
    assert all(measurement.window_s >= WINDOW_S for measurement in observed.values())
    counted = {name: measurement.n for name, measurement in observed.items() if name != "soak.bad_messages"}
    assert (counted.pop("soak.reconnect"), counted.pop("soak.dead_client_closed")) == (1, 0)
    assert set(counted.values()) == {CLIENTS}
    key = run_key(target("http://x"))
    assert server.rule_requests == [f"POST {key}-soak", f"POST {key}-beside-soak", "DELETE", "DELETE"]
    last = stage.timeline_of(tmp_path)[-1]
    assert (last["of"], last["clients"], last["drops"]) == (WINDOW_S, CLIENTS, 0)
    assert last["worst"].startswith(f"{CLIENTS} clients, worst stats gap 0.")


def test_a_fault_of_one_client_is_detected(tmp_path: Path) -> None:
    """One client is dropped, one receives nothing for six beats, two receive no events."""
    server = Server(
        drops=lambda client, beat: client == 0 and beat == 4,
        beats=lambda client, beat: client != 1 or not 3 <= beat < 9,
        deaf=lambda client: client in (2, 3),
    )
    observed = look(server, tmp_path)
    found = values(observed)
    assert (found["clients_connected"], found["drops"]) == (CLIENTS, 1)
    assert "4000" in observed["soak.drops"].notes[0]
    assert 0.5 < found["stats_gap"] < WINDOW_S
    assert 0.5 < found["heartbeat_gap"] < WINDOW_S
    assert observed["soak.violation_delivered"].n == observed["soak.alert_delivered"].n == CLIENTS
    assert found["alert_delivered"] == 2  # neither the deaf ones nor the dropped one
    assert f"{found['violation_delivered']} of 5 within 0.7 s" in observed["soak.violation_delivered"].notes[0]
    assert 2 <= found["violation_delivered"] <= 3  # the dropped one may have received it before
    last = stage.timeline_of(tmp_path)[-1]
    assert (last["clients"], last["drops"]) == (CLIENTS - 1, 1)


def test_a_server_that_falls_silent_fails(tmp_path: Path) -> None:
    """Without messages the gap is the whole soak; an alert that never fires is delivered to none."""
    observed = look(Server(beats=lambda _client, _beat: False, alerts=False), tmp_path)
    found = values(observed)
    assert found["stats_gap"] >= WINDOW_S
    assert found["heartbeat_gap"] >= WINDOW_S
    assert (found["alert_delivered"], observed["soak.alert_delivered"].n) == (0, CLIENTS)
    assert found["violation_delivered"] == CLIENTS


def test_a_server_that_says_nothing_does_not_keep_the_client_that_is_to_be_cut_off() -> None:
    """The time limit applies to the first connection as well."""
    silent = Server(beats=lambda _client, _beat: False, deaf=lambda _client: True)

    async def cut(url: str) -> None:
        async with asyncio.timeout(20):
            with pytest.raises(TimeoutError):
                await soak_clients.back_after_a_cut(target(url), 0.2)

    with serving(*silent.routes) as url:
        asyncio.run(cut(url))


def test_the_events_are_measured_before_the_end(tmp_path: Path) -> None:
    """An undelivered alert is measured after the middle of the window, before the end."""
    stop = asyncio.Event()

    def known() -> bool:
        observed = json.loads((tmp_path / "look.json").read_text()) if (tmp_path / "look.json").exists() else []
        return any(each["name"] == "soak.alert_delivered" and each["n"] for each in observed)

    async def ended_when_known(url: str) -> list[Measurement]:
        timeline = Timeline(tmp_path, "look", 12, tmp_path)
        recording = asyncio.create_task(soak_recorder.record(target(url), timeline, stop, clients=CLIENTS, window_s=12))
        while not known() and not recording.done():  # noqa: ASYNC110 - a file is all that there is to wait for
            await asyncio.sleep(0.02)
        stop.set()
        return await recording

    with serving(*Server(alerts=False).routes) as url:
        observed = {each.name: each for each in asyncio.run(ended_when_known(url))}
    alert = observed["soak.alert_delivered"]
    assert (alert.value, alert.n) == (0, CLIENTS)
    assert alert.window_s < 12


def test_an_alert_that_fires_already_is_waited_for(tmp_path: Path) -> None:
    """A firing alert is not sent again; the own one is measured if it resolves in time, else inconclusive."""
    late = look(Server(firing_until_beat=18), tmp_path, window_s=3)  # in the middle, at 1.5 s, it still fires
    assert values(late)["alert_delivered"] == CLIENTS
    observed = look(Server(firing_until_beat=10_000), tmp_path)
    assert observed["soak.alert_delivered"].n == 0
    assert "an alert was already firing" in observed["soak.alert_delivered"].notes[0]
    assert observed["soak.violation_delivered"].value == CLIENTS


def test_of_two_violations_at_once_both_must_arrive(tmp_path: Path) -> None:
    """A push with one of several violations delivered nothing in full."""
    observed = look(Server(loses=lambda key: "beside" in key), tmp_path)["soak.violation_delivered"]
    assert (observed.value, observed.n) == (0, CLIENTS)


def test_an_alert_that_never_resolves_is_not_delivered(tmp_path: Path) -> None:
    """Its stats contradict themselves: it fires, and its value is below the threshold."""
    observed = look(Server(resolves=False), tmp_path)["soak.alert_delivered"]
    assert (observed.value, observed.n) == (0, CLIENTS)
    assert observed.notes == ("the alert does not resolve: stats list a as firing with a value of 0, not above 100",)


@pytest.mark.parametrize(
    ("server", "why"),
    [
        (Server(created=503), "answered 503 instead of 201"),
        (Server(enforced=False), "answered 200, 200, 200 instead of 200, 429, 429"),
    ],
    ids=["no rule", "not limited"],
)
def test_events_that_cannot_be_triggered_decide_nothing(tmp_path: Path, server: Server, why: str) -> None:
    """Events that cannot be triggered give n = 0; the rest of the soak counts."""
    observed = look(server, tmp_path)
    for name in ("soak.violation_delivered", "soak.alert_delivered"):
        assert observed[name].n == 0
        assert why in observed[name].notes[0]
    assert values(observed)["drops"] == 0
    assert not server.rules


def test_a_soak_without_clients_stops_at_once(tmp_path: Path) -> None:
    """Without a connected client, only that number is measured."""
    nowhere = target(f"http://127.0.0.1:{free_port()}")
    observed = stage.run(soak_recorder.record, nowhere, tmp_path, clients=CLIENTS, window_s=600)
    assert (observed["soak.clients_connected"].value, observed["soak.clients_connected"].n) == (0, CLIENTS)
    assert "the handshake failed" in observed["soak.clients_connected"].notes[0]
    assert {measurement.n for name, measurement in observed.items() if name != "soak.clients_connected"} == {0}


def test_the_rule_of_the_soak_is_one_that_the_gate_would_remove() -> None:
    """Each rule carries the run's name, and limits a key of this run alone."""
    keys = trigger_events.keys(target("http://x"))
    for rule, key in zip(trigger_events.limits(target("http://x")), keys, strict=True):
        assert str(rule["rule_name"]).startswith(target("http://x").key)
        assert rule["scope_value"] == key
    assert keys[0] not in keys[1], "a message of one would be taken for that of the other"
