"""The table at the start of a gate: what is judged, what cannot pass, and which setting would change that."""

import pytest

from gaia_checks.gate.run import judgeable
from gaia_checks.gate.run.capabilities import Capability, missing
from gaia_checks.judge import criteria_file
from gaia_checks.model import CAPABILITIES

PROD = criteria_file.load().for_stage("prod")


def found(**absent: str) -> list[Capability]:
    """Everything is there but what is named, each with its reason."""
    named = {name.replace("_", "."): why for name, why in absent.items()}
    return [Capability(name, name not in named, named.get(name, "")) for name in CAPABILITIES]


def test_with_everything_there_every_criterion_is_judged() -> None:
    """No line says that one cannot pass."""
    table = " ".join(judgeable.lines(PROD, found()))
    assert all(criterion.id in table for criterion in PROD)
    assert "cannot pass" not in table


def test_a_missing_capability_names_its_criteria_and_the_setting() -> None:
    """Every criterion that needs it stands beside the reason, and no longer among the judged."""
    lines = list(judgeable.lines(PROD, found(log="set log = ...", admin_rules="POST answered 404")))
    table, words = "\n".join(lines), " ".join(" ".join(lines).split())
    assert "has not            admin.rules, log" in table
    assert "cannot pass        dev.log: set log = ..." in table
    without_rules = (
        "qa.rate_limiting qa.quotas qa.figures qa.access qa.identity qa.fresh_install qa.websocket_soak qa.dashboard "
        "qa.outage qa.instances"
    )
    assert f"{without_rules} prod.resources prod.protection: POST answered 404" in words
    (judged,) = (line for line in table.splitlines() if line.startswith("judged"))
    assert "dev.health" in judged
    assert "dev.log" not in judged


@pytest.mark.parametrize(("absent", "lacking"), [({"process": ""}, []), ({"process": "", "metrics": ""}, [0, 1])])
def test_of_two_alternatives_one_is_enough(absent: dict[str, str], lacking: list[int]) -> None:
    """Memory is read from the process, or from the metrics."""
    memory = next(criterion for criterion in PROD if criterion.id == "prod.memory")
    assert len(missing(memory, found(**absent))) == len(lacking)


def test_what_only_a_request_would_show_counts_as_there() -> None:
    """A dry run names it as open."""
    open_ = [Capability(name, None) for name in CAPABILITIES]
    table = list(judgeable.lines(PROD, open_))
    assert table[0] == "has                nothing"
    assert table[1].startswith("shown by the gate  health, admin.rules")
    assert not any(line.startswith("cannot pass") for line in table)


def test_the_table_fits_its_width() -> None:
    """Narrow terminals get more lines of the same words."""
    absent = found(log="set log = ...")
    narrow, wide = (list(judgeable.lines(PROD, absent, width=width)) for width in (80, 160))
    assert max(map(len, narrow)) <= 80 < max(map(len, wide)) <= 160
    assert " ".join(narrow).split() == " ".join(wide).split()
