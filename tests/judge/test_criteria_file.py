"""criteria.toml: read strictly, overridden by environments; rehearsals are recognised."""

from pathlib import Path

import pytest

from gaia_checks.errors import CriteriaFileError
from gaia_checks.judge import criteria_file
from gaia_checks.model import Check, Criterion

DESIGNED = {
    "dev": {"process", "database", "migrations", "health", "api", "websocket", "log"},
    "qa": {
        *("access", "identity", "load", "rate_limiting", "quotas", "figures", "websocket_soak", "dashboard"),
        *("fresh_install", "shutdown", "outage", "instances"),
    },
    "prod": {
        *("success_rate", "latency", "memory", "connections", "resources", "protection", "monitoring", "rollback"),
        *("certificate", "no_regression"),
    },
}

MINIMAL = """
[looks.health]
requests = 30
[criteria."dev.health"]
claim = "Health endpoint returns 200"
look = "health"
checks = [{ measurement = "health.good", rule = "all_good", threshold = 1, unit = "ratio" }]
"""


def written(tmp_path: Path, text: str) -> Path:
    """Write a criteria file."""
    path = tmp_path / "criteria.toml"
    path.write_text(text)
    return path


def test_every_promise_has_a_criterion() -> None:
    """The project's file contains exactly the promised criteria."""
    ids = {criterion.id for criterion in criteria_file.load().criteria}
    assert ids == {f"{stage}.{name}" for stage, names in DESIGNED.items() for name in names}


def test_a_criterion_may_depend_on_a_fact_of_the_target(tmp_path: Path) -> None:
    """`applies_when` names it; without, a criterion applies to every target."""
    depending = criteria_file.load(written(tmp_path, MINIMAL.replace("checks =", 'applies_when = "tls"\nchecks =')))
    assert [each.applies_when for each in depending.criteria] == ["tls"]
    assert criteria_file.load(written(tmp_path, MINIMAL)).criteria[0].applies_when is None


LIMITED = MINIMAL.replace("threshold = 1,", 'limit = "health_ratio",').replace(
    "checks = [", 'checks = [\n    { measurement = "health.up", rule = "equals", threshold = true, unit = "bool" },\n'
)


def test_the_environment_file_gives_limits(tmp_path: Path) -> None:
    """A check without its limit is left out; without any limit, the criterion is not judged."""
    path = written(tmp_path, LIMITED)
    (without,), (limited,) = (
        criteria_file.load(path, limits=limits).criteria for limits in ({}, {"health_ratio": 1.5})
    )
    assert without.lacks_limits
    assert [(check.measurement, check.threshold) for check in without.checks] == [("health.up", True)]
    assert not limited.lacks_limits
    assert [(check.measurement, check.threshold) for check in limited.checks] == [
        ("health.up", True),
        ("health.good", 1.5),
    ]
    with pytest.raises(
        CriteriaFileError, match=r"qa\.toml: no_regression\.p9_ratio: unknown key; known here: health_r"
    ):
        criteria_file.load(path, limits={"p9_ratio": 2}, source="qa.toml")
    assert not criteria_file.load(written(tmp_path, MINIMAL)).criteria[0].lacks_limits


def test_every_limit_keeps_the_default_or_is_left_out() -> None:
    """The error rate has a default, so that whatever is limited, a release that answers only errors fails."""
    (criterion,) = (
        each for each in criteria_file.load(limits={"p99_ratio": 1.25}).criteria if each.id == "prod.no_regression"
    )
    assert {check.measurement: check.threshold for check in criterion.checks} == {
        "no_regression.serves": True,
        "no_regression.errors_more": 0.01,
        "no_regression.p99_ratio": 1.25,
    }


@pytest.mark.parametrize(("stage", "count"), [("dev", 7), ("qa", 19), ("prod", 29)])
def test_a_stage_includes_those_before_it(stage: str, count: int) -> None:
    """Qa promises what dev does and more, prod promises everything."""
    assert len(criteria_file.load().for_stage(stage)) == count


def test_every_criterion_of_the_load_judges_the_generator_first() -> None:
    """Checks of the generator come before the server's, for each criterion that the load decides."""
    by_load = [criterion for criterion in criteria_file.load().criteria if criterion.look == "load"]
    assert len(by_load) == 3
    assert all(criterion.checks[0].generator and not criterion.checks[-1].generator for criterion in by_load)


@pytest.mark.parametrize(
    ("overrides", "rehearsal"),
    [
        ({}, False),
        ({"load": {"window_s": 300}}, False),
        ({"load": {"window_s": 600}}, False),
        ({"load": {"window_s": 299}}, True),
        ({"load": {"rate_per_s": 99}}, True),
        ({"soak": {"clients": 49}}, True),
        ({"health": {"requests": 29}}, True),
        ({"load": {"failing_burst_s": 1, "max_window_s": 7200}}, False),
        ({"load": {"failing_burst_s": 0.1}}, True),
        ({"memory": {"interval_s": 0.5}, "dashboard": {"live_within_s": 1}, "websocket": {"tolerance_s": 0.1}}, False),
        ({"memory": {"interval_s": 2}}, True),
        ({"dashboard": {"live_within_s": 6}}, True),
        ({"websocket": {"tolerance_s": 2}}, True),
    ],
)
def test_weaker_parameters_make_a_rehearsal(overrides: dict[str, dict[str, float]], rehearsal: bool) -> None:
    """Any window, rate, count or burst below the file's, any interval or delay above, makes a rehearsal."""
    assert criteria_file.load(overrides=overrides).rehearsal is rehearsal


def test_an_override_changes_the_window_that_is_required() -> None:
    """A measurement must cover the environment's window."""
    loaded = criteria_file.load(overrides={"log": {"window_s": 60}})
    assert next(criterion for criterion in loaded.criteria if criterion.id == "dev.log").window_s == 60


def test_an_override_changes_the_assumed_bursts() -> None:
    """Only those of one criterion: each has its own parameter."""
    loaded = criteria_file.load(overrides={"load": {"failing_burst_s": 3, "max_window_s": 20_000}})
    bursts = {criterion.id: criterion.checks[-1].burst_s for criterion in loaded.criteria if criterion.look == "load"}
    assert bursts == {"qa.load": None, "prod.success_rate": 3, "prod.latency": 1}


@pytest.mark.parametrize(
    ("changed", "criterion_id"), [({"failing_burst_s": 1}, "prod.success_rate"), ({"slow_burst_s": 20}, "prod.latency")]
)
def test_bursts_that_the_longest_window_cannot_prove_are_refused(changed: dict[str, float], criterion_id: str) -> None:
    """The refusal comes before any measurement and names a sufficient window; a rehearsal assumes no bursts."""
    with pytest.raises(CriteriaFileError, match=f"a flawless load of 1620 s passes {criterion_id}") as error:
        criteria_file.load(overrides={"load": changed}, source="prod.toml")
    longest_s = float(str(error.value).partition("max_window_s = ")[2].partition(" ")[0])
    assert not criteria_file.load(overrides={"load": {**changed, "max_window_s": longest_s}}).rehearsal
    assert criteria_file.load(overrides={"load": {**changed, "rate_per_s": 10}}).rehearsal


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"lod": {"window_s": 1}}, "qa.toml: looks.lod: unknown look; known: "),
        ({"health": {"window": 1}}, "qa.toml: looks.health.window: unknown key; known here: requests, spacing_s"),
        ({"health": {"applies_when": 1}}, "qa.toml: looks.health.applies_when: unknown key; known here: requests"),
        (
            {"load": {"window_s": 3600}},
            "qa.toml: looks.load: max_window_s (1620) is less than window_s (3600); set both",
        ),
    ],
)
def test_an_override_of_an_unknown_key_is_refused(overrides: dict[str, dict[str, float]], message: str) -> None:
    """A typo in an environment's looks is reported with the file and the known keys."""
    with pytest.raises(CriteriaFileError) as error:
        criteria_file.load(overrides=overrides, source="qa.toml")
    assert str(error.value).startswith(message)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            ("all_good", "all_god"),
            "criteria.toml: criteria.\"dev.health\": unknown rule 'all_god'; known: all_good",
        ),
        (("dev.health", "test.health"), 'criteria.toml: criteria."test.health": an id must start with its stage'),
        (('look = "health"', 'look = "helth"'), "criteria.toml: criteria.\"dev.health\": unknown look 'helth'"),
        (
            ("claim", 'applies_when = "snow"\nclaim'),
            "criteria.toml: criteria.\"dev.health\": applies_when: unknown fact 'snow'; known: tls, previous_release, ",
        ),
        (("claim", "clam"), 'criteria.toml: criteria."dev.health": clam: unknown key'),
        ((", threshold = 1", ""), 'criteria.toml: criteria."dev.health": a check needs measurement, rule, threshold'),
        (("unit =", "units ="), 'criteria.toml: criteria."dev.health": checks.units: unknown key'),
        (
            ("unit =", 'burst = "burst_s", unit ='),
            "criteria.toml: criteria.\"dev.health\": burst 'burst_s' is not a parameter of its look; known: requests",
        ),
        (("[looks.health]", "[loks.health]"), "criteria.toml: loks: unknown key"),
        (("[{", "[[{"), "criteria.toml: not valid TOML"),
    ],
)
def test_invalid_criteria_are_refused(tmp_path: Path, change: tuple[str, str], message: str) -> None:
    """Unknown keys, rules and looks are reported with file and criterion."""
    with pytest.raises(CriteriaFileError) as error:
        criteria_file.load(written(tmp_path, MINIMAL.replace(*change)))
    assert str(error.value).startswith(message)


def test_a_criterion_without_checks_is_refused(tmp_path: Path) -> None:
    """A criterion without checks would always pass."""
    text = MINIMAL.replace(MINIMAL.splitlines()[-1], "checks = []")
    with pytest.raises(CriteriaFileError, match="would always pass"):
        criteria_file.load(written(tmp_path, text))


def test_a_measurement_without_a_check_needs_a_reason() -> None:
    """Checks, stalls that explain a failure, and patterns with a reason are known; anything else is reported."""
    loaded = criteria_file.load()
    known = ["health.good", "load.machine_stalls", "gate.rows_left", "gate.exit.load", "gate.outcome.dev.api"]
    assert loaded.unexplained([*known, "gate.rows_lost", "health.slowest"]) == ["gate.rows_lost", "health.slowest"]
    assert all(loaded.unchecked.values())


def test_a_criterion_is_read_whole(tmp_path: Path) -> None:
    """Every key of its table, the window of its look, and the honesty of its load before its own checks."""
    path = written(
        tmp_path,
        """
[looks.load]
rate_per_s = 100
window_s = 300
max_window_s = 1620
[machine]
cores = 2
[honesty.load]
checks = [{ measurement = "load.sent", rule = "at_least", threshold = 0.999, unit = "ratio" }]
[unchecked]
"load.mood" = "nobody promises it"
[criteria."prod.latency"]
claim = "It is fast"
look = "load"
needs = ["health"]
checks = [{ measurement = "load.p50", rule = "at_most", threshold = 20, unit = "ms", min_n = 5 }]
""".replace('needs = ["health"]', 'needs = ["health"]'),
    )
    assert criteria_file.load(path) == criteria_file.Criteria(
        (
            Criterion(
                "prod.latency",
                "It is fast",
                "load",
                300,
                1620,
                (300, 698, 1620),
                (
                    Check("load.sent", "at_least", 0.999, "ratio", generator=True),
                    Check("load.p50", "at_most", 20, "ms", min_n=5),
                ),
                ("health",),
            ),
        ),
        {"load": {"rate_per_s": 100, "window_s": 300, "max_window_s": 1620}},
        False,
        {"cores": 2},
        {"load.mood": "nobody promises it"},
    )


def test_a_file_without_optional_tables_has_empty_ones(tmp_path: Path) -> None:
    """Neither [machine] nor [unchecked] is required."""
    criteria = criteria_file.load(written(tmp_path, MINIMAL))
    assert (criteria.machine, criteria.unchecked) == ({}, {})


def test_a_window_may_be_as_long_as_the_longest(tmp_path: Path) -> None:
    """Equal bounds are a look that is never extended."""
    text = MINIMAL.replace("requests = 30", "requests = 30\nwindow_s = 60\nmax_window_s = 60")
    assert criteria_file.load(written(tmp_path, text)).criteria[0].looks_s == (60,)


@pytest.mark.parametrize("max_window_s", [1196, 1197])
def test_the_shortest_window_that_bursts_allow_is_named(tmp_path: Path, max_window_s: int) -> None:
    """Bursts of 1 s and 99.75 %: 1,197 clean units pass at 5 %, carried over from analyses that cannot pass."""
    text = f"""
[looks.load]
rate_per_s = 100
window_s = 60
max_window_s = {max_window_s}
burst_s = 1
[criteria."prod.success_rate"]
claim = "It answers"
look = "load"
[[criteria."prod.success_rate".checks]]
measurement = "load.outcomes"
rule = "proportion"
threshold = 0.9975
unit = "ratio"
burst = "burst_s"
"""
    if max_window_s == 1197:
        assert len(criteria_file.load(written(tmp_path, text)).criteria) == 1
        return
    with pytest.raises(
        CriteriaFileError, match=r"^the environment file: looks\.load: .* set max_window_s = 119[78] or more"
    ):
        criteria_file.load(written(tmp_path, text))
