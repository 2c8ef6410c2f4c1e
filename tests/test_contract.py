"""What another server calls what the contract names: both ways, at any depth, and nothing but names."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from gaia_checks import contract
from gaia_checks.environment.project import ROOT
from gaia_checks.errors import EnvironmentFileError
from gaia_checks.model import Names

NAMES = Names(
    paths={"/health": "/healthz", "/api/admin/quotas": "/v2", "/api/admin/quotas/config": "/limits"},
    fields={"rule_name": "name", "items": "results", "limit": "page_size", "type": "key", "key": "type"},
    metrics={"gaia_database_pool_max": "pool_max", "gaia_http_request_duration_seconds": "http_seconds"},
)

CONTRACT = (ROOT / "docs" / "contract.md").read_text()


CUSTOMARY = {"process_start_time_seconds"}
"""Not promised by the contract, but told by every Prometheus client library."""


@pytest.mark.parametrize("word", sorted(contract.PATHS | contract.FIELDS | contract.METRICS - CUSTOMARY))
def test_what_may_be_mapped_is_the_contracts_word(word: str) -> None:
    """Each stands on the page that whoever brings a server reads; what begins alike is written once there."""
    endings = [word.removeprefix(begin) for begin in ("/api/admin/quotas", "gaia_database_pool")]
    assert any(ending and re.search(rf"[`\"{{ ,/]{re.escape(ending)}\b", CONTRACT) for ending in endings)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("/health", "/healthz"),
        ("/healthy", "/healthy"),
        ("/api/admin/quotas/config", "/limits"),
        ("/api/admin/quotas/config/7?limit=5&offset=0", "/limits/7?page_size=5&offset=0"),
        ("/api/admin/quotas/usage?x", "/v2/usage?x"),
        ("/api/admin/quotas", "/v2"),
        ("/livez", "/livez"),
    ],
)
def test_a_path_moves_with_what_is_above_it(ours: str, theirs: str) -> None:
    """The longest entry counts, whole segments only; parameters have names of fields."""
    assert contract.path(NAMES, ours) == theirs
    assert contract.our_path(NAMES, theirs.partition("?")[0]) == ours.partition("?")[0]


def test_fields_are_renamed_at_any_depth_and_back() -> None:
    """Lists included, names that change places included; values are left alone."""
    ours = {"items": [{"rule_name": "rule_name", "type": 1, "key": [{"key": 2}]}], "other": None}
    theirs = contract.theirs(NAMES, ours)
    assert theirs == {"results": [{"name": "rule_name", "key": 1, "type": [{"type": 2}]}], "other": None}
    assert contract.ours(NAMES, theirs) == {**ours, "items": [{**ours["items"][0], "name": "rule_name"}]}  # type: ignore[index]


def test_a_word_that_the_contract_has_for_something_else_stays_beside_its_translation() -> None:
    """An alert's name is its name still, although a rule's is called so over there."""
    assert contract.ours(NAMES, {"name": "a", "results": []}) == {"name": "a", "rule_name": "a", "items": []}
    assert contract.ours(NAMES, {"rule_name": "theirs", "name": "a"})["rule_name"] == "a"


def test_an_openapi_document_describes_our_paths() -> None:
    """Keys that are paths become ours."""
    assert contract.ours(NAMES, {"paths": {"/limits": {}, "/limits/{id}": {}}}) == {
        "paths": {"/api/admin/quotas/config": {}, "/api/admin/quotas/config/{id}": {}}
    }


@pytest.mark.parametrize("text", ['{"rule_name": ', "", "rule_name", "[" * 100_000])
def test_what_is_no_json_stays_as_it_is(text: str) -> None:
    """What is sent to be refused is sent as it is."""
    assert contract.their_text(NAMES, text) == contract.our_text(NAMES, text) == text


def test_what_is_no_unicode_stays_what_it_is() -> None:
    """A lone surrogate and a number that is too large are sent as they were."""
    sent = b'{"rule_name": "\\ud800", "limit_value": 1000000000000000000000000000000}'
    assert contract.their_text(NAMES, sent) == sent.replace(b"rule_name", b"name")


def test_metrics_get_our_names() -> None:
    """Samples, with labels or without, HELP, TYPE and the parts of a histogram; no name that only begins alike."""
    theirs = (
        '# HELP pool_max Most of pool_max.\n# TYPE pool_max gauge\npool_max 10\npool_max{a="pool_max "} 1\n'
        'pool_maximum 3\nhttp_seconds_bucket{le="1",route="/v2/usage"} 1\nhttp_seconds_sum 2\nhttp_seconds_total 3\n'
    )
    assert contract.our_metrics(NAMES, theirs) == (
        "# HELP gaia_database_pool_max Most of pool_max.\n# TYPE gaia_database_pool_max gauge\n"
        'gaia_database_pool_max 10\ngaia_database_pool_max{a="pool_max "} 1\npool_maximum 3\n'
        'gaia_http_request_duration_seconds_bucket{le="1",route="/api/admin/quotas/usage"} 1\n'
        "gaia_http_request_duration_seconds_sum 2\nhttp_seconds_total 3\n"
    )


def test_without_names_nothing_is_touched() -> None:
    """Not even the spacing of a text."""
    text = '{"rule_name" :1}'
    assert contract.their_text(Names(), text) is contract.our_text(Names(), text) is text


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("paths", r"x\.toml: contract: 'paths' is not a table; write \[contract\.paths\]"),
        ({"path": {}}, r"x\.toml: contract\.path: unknown key; known here: paths, fields, metrics"),
        ({"paths": 1}, r"contract\.paths: 1 is not a table of ours = theirs"),
        ({"paths": {"/heath": "/x"}}, r"paths\./heath: not a word of the contract; known here: /admin/login, "),
        ({"fields": {"rulename": "x"}}, r"fields\.rulename: not a word of the contract; known here: admitted, "),
        ({"metrics": {"up": "x"}}, r"metrics\.up: not a word of the contract; known here: gaia_alerts_firing"),
        ({"paths": {"/health": "healthz"}}, r"paths\./health: 'healthz' is no such name; write e\.g\. \"/healthz\""),
        ({"paths": {"/health": "/x/"}}, r"contract\.paths\./health: '/x/' is no such name"),
        ({"paths": {"/health": "/x?y"}}, r"contract\.paths\./health: '/x\?y' is no such name"),
        ({"fields": {"rule_name": ""}}, r"contract\.fields\.rule_name: '' is no such name; write e\.g\. \"name\""),
        ({"fields": {"rule_name": 1}}, r"contract\.fields\.rule_name: 1 is no such name"),
        ({"metrics": {"gaia_database_up": "a-b"}}, r"contract\.metrics\.gaia_database_up: 'a-b' is no such name"),
        (
            {"fields": {"rule_name": "n", "user": "n"}},
            r"contract\.fields\.user: 'n' is rule_name already; what comes back could be either",
        ),
    ],
)  # fmt: skip
def test_what_is_wrong_in_the_table_is_named(table: Any, message: str) -> None:
    """Strict: what the contract does not name cannot be mapped, and nothing twice."""
    with pytest.raises(EnvironmentFileError, match=message) as caught:
        contract.read("x.toml", {"contract": table}, Path())
    assert "\n" not in str(caught.value)


def test_a_good_table_is_read() -> None:
    """As it stands in the file; without one nothing is mapped."""
    assert contract.read("x", {"contract": {"paths": {"/health": "/healthz"}}}, Path()) == Names(
        paths={"/health": "/healthz"}
    )
    assert contract.read("x", {}, Path()) == Names()


def test_names_survive_a_pipe() -> None:
    """They travel with the target."""
    from gaia_checks.model import LogLocation, Target

    there = Target("qa", "http://x", "run", log=LogLocation("/x", "qa", 22), names=NAMES)
    assert Target.from_json(json.loads(json.dumps(there.to_json()))) == there
    assert str(there.log) == "ssh://qa:22/x"
    assert str(LogLocation(str(Path("/x")))) == "/x"
