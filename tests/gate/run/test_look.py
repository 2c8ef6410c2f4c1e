"""What a suite test is given: how long it waits."""

import threading
from dataclasses import replace
from pathlib import Path

import pytest

from gaia_checks import environment
from gaia_checks.errors import Inconclusive
from gaia_checks.gate.run import look
from gaia_checks.gate.run.look import STARTED, Gate, Look
from gaia_checks.judge import criteria
from gaia_checks.model import Target


def test_a_load_is_waited_for_from_its_beginning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However long the browser and the copies before it take: with many workers its test waits all that time."""
    monkeypatch.setattr(look, "_GRACE_S", 0.1)
    loaded = criteria.load()
    criterion = next(each for each in loaded.criteria if each.id == "prod.protection")
    target = Target("local", "http://127.0.0.1:9", "run")
    gate = Gate(environment.load("local", variables={}), "prod", tmp_path, loaded, tmp_path, target, None)
    said: list[str] = []

    def wait() -> None:
        try:
            Look(gate, replace(criterion, max_window_s=0), (), lambda _: None).recorded()
        except Inconclusive as error:
            said.append(str(error))

    waiting = threading.Thread(target=wait, daemon=True)
    waiting.start()
    waiting.join(0.5)
    assert waiting.is_alive()
    (tmp_path / f"{STARTED}protection").touch()
    waiting.join(10)
    assert said == ["the look protection did not end within 0 s"]
