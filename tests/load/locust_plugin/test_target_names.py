"""What a worker takes from its master: names, and no code."""

import json
from typing import Any

import pytest

from gaia_checks.load.locust_plugin import target_names
from gaia_checks.model import Names

OWN: dict[str, Any] = {"paths": {}, "fields": {"id": "ID"}, "metrics": {}, "adapter": "class Ours: ..."}


def test_a_master_gives_its_workers_no_code(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its adapter stays with it."""
    monkeypatch.setenv("GAIA_NAMES", json.dumps(OWN))
    assert json.loads(target_names.for_workers()) == {**OWN, "adapter": ""}


def test_a_worker_runs_no_code_that_a_master_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever takes the master's port can send what he likes; the adapter is the worker's own, or none."""
    given = json.dumps({**OWN, "adapter": "evil"})
    monkeypatch.delenv("GAIA_NAMES", raising=False)
    assert target_names.of_worker(given) == Names(fields={"id": "ID"})
    monkeypatch.setenv("GAIA_NAMES", json.dumps({"adapter": "mine"}))
    assert target_names.of_worker(given) == Names(fields={"id": "ID"}, adapter="mine")


def test_a_process_without_a_master_has_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """As it was started; without a word there are none."""
    monkeypatch.setenv("GAIA_NAMES", json.dumps(OWN))
    assert target_names.of_worker(None) == Names(**OWN)
    monkeypatch.delenv("GAIA_NAMES")
    assert target_names.of_worker(None) == Names()
