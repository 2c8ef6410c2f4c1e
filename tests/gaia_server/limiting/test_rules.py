"""Validation of rules from request bodies."""

from typing import Any

import pytest

from gaia_server.http.validation import valid
from gaia_server.limiting.rules import RuleFields
from gaia_server.problem import Problem

GOOD = {"rule_name": "a", "scope": "ip", "limit_type": "requests_per_second", "limit_value": 5}


def parse(body: Any) -> RuleFields:
    """Return the rule that a body describes."""
    return valid(RuleFields, body, "the body is not a valid rule")


def test_defaults() -> None:
    """Optional fields have defaults."""
    rule = RuleFields(rule_name="a", scope="ip", limit_type="requests_per_second", limit_value=5)
    assert parse(GOOD) == rule
    assert (rule.scope_value, rule.resource_type, rule.enabled) == (None, None, True)


def test_whole_number_with_a_point() -> None:
    """JSON has one number type: 5.0 is 5."""
    assert str(parse({**GOOD, "limit_value": 5.0}).limit_value) == "5"


@pytest.mark.parametrize(
    ("scope", "value", "stored"),
    [("ip", "::ffff:192.0.2.7", "192.0.2.7"), ("ip", "2001:db8::7", "2001:db8::/64"), ("api_key", "K-1", "K-1")],
)
def test_scope_value_is_normal(scope: str, value: str, stored: str) -> None:
    """An address is stored in the form that limits count by, so that the rule applies to it."""
    assert parse({**GOOD, "scope": scope, "scope_value": value}).scope_value == stored


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"rule_name": ""}, "rule_name"),
        ({"rule_name": 'a"b'}, "rule_name"),
        ({"rule_name": "a\n"}, "rule_name"),
        ({"rule_name": "a" * 101}, "rule_name"),
        ({"rule_name": 7}, "rule_name"),
        ({"scope": "planet"}, "scope"),
        ({"scope": ["ip"]}, "scope"),
        ({"scope_value": "not an address"}, "scope_value"),
        ({"scope_value": "nobody"}, "scope_value"),
        ({"scope_value": ""}, "scope_value"),
        ({"scope": "api_key", "scope_value": "\ud800"}, "scope_value"),
        ({"scope": "api_key", "scope_value": "a\x00"}, "scope_value"),
        ({"scope": "global", "scope_value": "x"}, "scope_value"),
        ({"limit_type": "requests_per_year"}, "limit_type"),
        ({"limit_value": -1}, "limit_value"),
        ({"limit_value": 10**9 + 1}, "limit_value"),
        ({"limit_value": 1.5}, "limit_value"),
        ({"limit_value": float("inf")}, "limit_value"),
        ({"limit_value": True}, "limit_value"),
        ({"resource_type": "nothing"}, "resource_type"),
        ({"resource_type": {}}, "resource_type"),
        ({"enabled": "yes"}, "enabled"),
        ({"enabled": None}, "enabled"),
        ({"id": 7}, "id"),
    ],
)
def test_refused(change: dict[str, Any], field: str) -> None:
    """An invalid field is named."""
    with pytest.raises(Problem) as caught:
        parse({**GOOD, **change})
    assert [error["field"] for error in caught.value.errors] == [field]


def test_missing() -> None:
    """All missing fields are named at once."""
    with pytest.raises(Problem) as caught:
        parse({})
    assert [error["field"] for error in caught.value.errors] == ["rule_name", "scope", "limit_type", "limit_value"]


@pytest.mark.parametrize("body", [None, [], "rule", 7])
def test_no_object(body: Any) -> None:
    """Only an object can be a rule."""
    with pytest.raises(Problem) as caught:
        parse(body)
    assert caught.value.errors == [{"field": "", "detail": "is not a JSON object"}]


@pytest.mark.parametrize(
    ("change", "detail"),
    [
        ({"limit_value": "5"}, "is not a whole number from 0 to 1000000000"),
        ({"scope": "planet"}, "is not one of global, ip, user, session, api_key"),
        ({"scope": "global", "scope_value": "x"}, "must be null for the scope global"),
        ({"scope_value": "nobody"}, "must be an IP address for the scope ip"),
        ({"enabled": 1}, "is not true or false"),
    ],
)
def test_an_error_says_what_the_field_takes(change: dict[str, Any], detail: str) -> None:
    """In people's words, whatever is wrong with the value."""
    with pytest.raises(Problem) as caught:
        parse({**GOOD, **change})
    assert [error["detail"] for error in caught.value.errors] == [detail]


def test_a_missing_or_unknown_field_says_what_to_give() -> None:
    """The words of a missing field, and the names of the known ones."""
    with pytest.raises(Problem) as caught:
        parse({**{name: value for name, value in GOOD.items() if name != "rule_name"}, "name": "a"})
    missing, unknown = caught.value.errors
    assert missing["detail"].startswith("is missing; give 1 to 100 letters, digits")
    assert unknown["detail"].startswith("is not known; known: rule_name, scope, scope_value, limit_type")
