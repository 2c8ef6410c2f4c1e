"""A user's own criteria add to ours, and change none of them."""

from pathlib import Path

import pytest

from gaia_checks.errors import CriteriaFileError
from gaia_checks.judge import criteria_file

OWN = """
[looks.orders]
requests = 20
[criteria."qa.orders"]
claim = "An order is placed in under 300 ms"
look = "orders"
needs = ["database"]
checks = [{ measurement = "orders.slowest", rule = "at_most", threshold = 300, unit = "ms", min_n = 20 }]
[unchecked]
"orders.sizes" = "for people"
"""


def written(tmp_path: Path, text: str) -> Path:
    """Write a criteria file of somebody's own."""
    path = tmp_path / "own.toml"
    path.write_text(text)
    return path


def test_they_are_judged_beside_ours_from_their_stage_on(tmp_path: Path) -> None:
    """All of ours are there, and theirs last; the look's parameters can be overridden, and lowered to a rehearsal."""
    ours, own = criteria_file.load(), written(tmp_path, OWN)
    both = criteria_file.load(own=own)
    assert [*(each.id for each in ours.criteria), "qa.orders"] == [each.id for each in both.criteria]
    assert "qa.orders" not in {each.id for each in both.for_stage("dev")}
    assert both.looks["orders"] == {"requests": 20}
    assert both.unexplained(["orders.slowest", "orders.sizes"]) == []
    assert not both.rehearsal
    assert criteria_file.load(own=own, overrides={"orders": {"requests": 19}}).rehearsal


def test_they_may_judge_our_measurements_more_strictly(tmp_path: Path) -> None:
    """The look is ours, with its checks of the load generator; the threshold is theirs."""
    check = '{ measurement = "load.latency", rule = "percentile", percentile = 99, threshold = 50, unit = "ms" }'
    text = f'[criteria."qa.quick"]\nclaim = "Quick"\nlook = "load"\nchecks = [{check}]\n'
    quick = criteria_file.load(own=written(tmp_path, text)).criteria[-1]
    assert (quick.id, quick.checks[-1].threshold, quick.checks[0].generator) == ("qa.quick", 50, True)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("qa.orders", "dev.health"), 'criteria."dev.health": gaia-checks has this one; choose another name'),
        (("looks.orders", "looks.load"), 'looks."load": gaia-checks has this one'),
        (("orders.sizes", "gate.outcome.*"), 'unchecked."gate.outcome.*": gaia-checks has this one'),
        (("[unchecked]", "[honesty]"), "honesty: unknown key; a file of your own has looks, criteria, unchecked"),
        (("requests = 20", 'requests = "20"'), "looks.orders.requests: '20' is not a number above 0"),
        (('claim = "An order is placed in under 300 ms"', ""), 'criteria."qa.orders": claim: missing; say'),
        (('["database"]', '"database"'), "criteria.\"qa.orders\": needs: 'database' is not a list"),
        (('["database"]', '["databases"]'), 'criteria."qa.orders": needs: unknown capability'),
        (("threshold = 300", "threshold = [3]"), 'criteria."qa.orders": checks.threshold: [3] is neither a number'),
        (('"orders.slowest"', "7"), 'criteria."qa.orders": checks.measurement: 7 is not a text'),
        (("min_n = 20", "min_n = 0"), 'criteria."qa.orders": checks.min_n: 0 is not a number of samples'),
        (
            ('"at_most"', '"percentile"'),
            'criteria."qa.orders": the rule percentile is for measurements that gaia-check',
        ),
        (("at_most", "at_mots"), "criteria.\"qa.orders\": unknown rule 'at_mots'"),
        (('look = "orders"', 'look = "order"'), "criteria.\"qa.orders\": unknown look 'order'"),
        (("qa.orders", "shop.orders"), 'criteria."shop.orders": an id must start with its stage'),
        (("checks = [{", "checks = [[{"), "not valid TOML"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(tmp_path: Path, change: tuple[str, str], message: str) -> None:
    """With the file, the key and what belongs there; none of ours can be replaced or weakened."""
    assert change[0] in OWN
    with pytest.raises(CriteriaFileError) as error:
        criteria_file.load(own=written(tmp_path, OWN.replace(*change)))
    assert f"own.toml: {message}" in str(error.value)


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    """A gate without the promised criteria would pass too easily."""
    with pytest.raises(CriteriaFileError, match=r"own\.toml: not found"):
        criteria_file.load(own=tmp_path / "own.toml")


@pytest.mark.parametrize(
    ("value", "taken"), [("0.5", True), ("0", False), ("-1", False), ("inf", False), ("nan", False)]
)
def test_a_parameter_is_a_finite_number_above_zero(tmp_path: Path, value: str, taken: bool) -> None:
    """Others are refused by name."""
    own = written(tmp_path, OWN.replace("requests = 20", f"requests = {value}"))
    if taken:
        assert criteria_file.load(own=own).looks["orders"] == {"requests": float(value)}
        return
    with pytest.raises(CriteriaFileError, match=rf"looks\.orders\.requests: {value}(\.0)? is not a number above 0"):
        criteria_file.load(own=own)


def test_a_file_may_lack_any_table(tmp_path: Path) -> None:
    """Without criteria it adds none; a criterion without checks is refused by name."""
    ours = criteria_file.load()
    assert criteria_file.load(own=written(tmp_path, "")).criteria == ours.criteria
    without_checks = '[criteria."qa.orders"]\nclaim = "It works"\nlook = "load"\n'
    with pytest.raises(CriteriaFileError, match=r'criteria\."qa\.orders"'):
        criteria_file.load(own=written(tmp_path, without_checks))
