"""The `look` fixture of suite tests: how long it waits."""

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from gaia_checks.environment import environment_file
from gaia_checks.errors import Inconclusive
from gaia_checks.gate.run import gated_target, look
from gaia_checks.gate.run.look import STARTED, Gate, Look
from gaia_checks.judge import criteria_file
from gaia_checks.model import CriterionVerdict, State, Target


def test_the_wait_for_a_load_starts_with_the_load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The time limit excludes the browser and the rehearsal copies before it, for which a parallel worker waits."""
    monkeypatch.setattr(look, "_GRACE_S", 0.1)
    loaded = criteria_file.load()
    criterion = next(each for each in loaded.criteria if each.id == "prod.protection")
    target = Target("local", "http://127.0.0.1:9", "run")
    gate = Gate(environment_file.load("local", variables={}), "prod", tmp_path, loaded, tmp_path, target, None)
    reasons: list[str] = []

    def wait() -> None:
        try:
            Look(gate, replace(criterion, max_window_s=0), (), lambda _: None).recorded()
        except Inconclusive as error:
            reasons.append(str(error))

    waiting = threading.Thread(target=wait, daemon=True)
    waiting.start()
    waiting.join(0.5)
    assert waiting.is_alive()
    (tmp_path / f"{STARTED}protection").touch()
    waiting.join(10)
    assert reasons == ["the look protection did not finish within 0 s"]


@pytest.mark.parametrize("take", [lambda look: look(pytest.fail), lambda look: look.recorded()])
def test_a_criterion_that_does_not_apply_is_skipped_with_the_reason(
    tmp_path: Path, take: Callable[[Look], None]
) -> None:
    """Neither its probe runs nor its recorder is waited for, and its state is reported."""
    loaded = criteria_file.load()
    criterion = replace(loaded.criteria[0], applies_when="tls")
    target = Target("local", "http://127.0.0.1:9", "run")
    environment = environment_file.load("local", variables={})
    gate = Gate(environment, "prod", tmp_path, loaded, tmp_path, target, None)
    for fact in gated_target.facts(environment, target):
        gate.record(fact)
    reported: list[CriterionVerdict] = []
    with pytest.raises(pytest.skip.Exception, match="plain http"):
        take(Look(gate, criterion, (), reported.append))
    assert [each.state for each in reported] == [State.NOT_APPLICABLE]
