"""Adapters that are wrong: each is named in one line, before a gate or by it, and none hangs or crashes one."""

import json
from pathlib import Path

import pytest

from gaia_checks import contract
from gaia_checks.contract import adapter
from gaia_checks.contract.adapter import HttpAnswer, HttpRequest
from gaia_checks.errors import AdapterError, EnvironmentFileError
from gaia_checks.model import Names
from tests.support.ground import ground

HEAD = "from gaia_checks.contract.adapter import Adapter, HttpAnswer, HttpRequest\n\n\nclass Ours(Adapter):\n"
HANGS = "__import__('time').sleep(5)"
HEALTH, ANSWER = HttpRequest("GET", "/health"), HttpAnswer(200, {}, {"status": "healthy"})


def method(name: str, *lines: str) -> str:
    """Return the text of an adapter with one method."""
    return f"{HEAD}    def {name}(self, *args):\n" + "".join(f"        {line}\n" for line in lines)


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("class Ours(:\n", "SyntaxError: invalid syntax (<adapter>, line 1)"),
        ("import nothing_of_that_name\n", "ModuleNotFoundError: No module named 'nothing_of_that_name'"),
        ("raise ValueError('one\\ntwo')\n", "ValueError: one two"),
        ("raise SystemExit(0)\n", "SystemExit: 0"),
        ("x = 1\n", "ValueError: 0 subclasses of Adapter; write exactly one"),
        (f"{HEAD}    def __init__(self, more):\n        pass\n", "missing 1 required positional argument: 'more'"),
        (HANGS, "TimeoutError: it did not return within 0.5 s"),
        (method("request", HANGS), "TimeoutError: it did not return within 0.5 s"),
        (method("reply", HANGS), "TimeoutError: it did not return within 0.5 s"),
    ],
)
def test_one_that_cannot_be_used_is_refused(
    source: str, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The line names key, file and reason."""
    monkeypatch.setattr(adapter, "_RETURNS_WITHIN_S", 0.5)
    path = tmp_path / "ours.py"
    path.write_text(source)
    with pytest.raises(EnvironmentFileError) as error:
        adapter.read("qa.toml: contract.adapter", path)
    line = str(error.value)
    assert line.startswith(f"qa.toml: contract.adapter: {path}: ")
    assert line.endswith(why)
    assert "\n" not in line


@pytest.mark.parametrize(
    ("returned", "why"),
    [
        ("None", "it returned NoneType, not HttpRequest"),
        ("HttpAnswer(200)", "it returned HttpAnswer, not HttpRequest"),
        ("HttpRequest('GET', '/x', {'X-Odd': 1})", "headers are not texts"),
        ("HttpRequest('PUT', '/x', body={1, 2})", "Object of type set is not JSON serializable"),
    ],
)
def test_a_request_that_is_none_is_named(returned: str, why: str) -> None:
    """Nothing can be sent: that decides nothing, and the line names the request."""
    names = Names(adapter=method("request", f"return {returned}"))
    with pytest.raises(AdapterError, match="the adapter cannot translate GET /health: ") as error:
        contract.outgoing(names, HEALTH)
    assert why in str(error.value)


@pytest.mark.parametrize(
    "returned",
    ["None", "{}", "HttpAnswer('200')", "HttpAnswer(200, {'x': 1})", "HttpAnswer(200, body={1})", "1 / 0", "None[0]"],
)
def test_an_answer_that_is_none_is_judged_as_it_came(returned: str) -> None:
    """It is the server's, whatever the adapter makes of it."""
    assert contract.incoming(Names(adapter=method("answer", f"return {returned}")), HEALTH, ANSWER) == ANSWER


@pytest.mark.parametrize("returned", ["None", "{1}", "1 / 0"])
def test_a_message_that_is_none_is_judged_as_it_came(returned: str) -> None:
    """So is a message; and nothing is sent after it."""
    frame = json.dumps({"type": "odd"})
    names = Names(adapter=method("message", f"return {returned}"))
    assert contract.our_message(names, frame) == frame
    assert contract.reply(Names(adapter=method("reply", f"return {returned}")), frame) is None


@pytest.mark.parametrize(
    ("source", "code", "line"),
    [
        ("class Ours(:\n", 4, "SyntaxError: invalid syntax (<adapter>, line 1)"),
        (method("request", "return None"), 8, "it returned NoneType, not HttpRequest"),
        (method("request", "return 1 / 0"), 8, "the adapter cannot translate"),
    ],
)
def test_a_gate_with_a_wrong_one_says_so(source: str, code: int, line: str) -> None:
    """Without a traceback, with the exit code of wrong usage or of a gate that decided nothing."""
    with ground(database="external") as place:
        (place.folder / "ours.py").write_text(source)
        file = place.environment_file(base_url="http://127.0.0.1:9", tables='[contract]\nadapter = "ours.py"\n')
        outcome = place.gate(file)
    assert outcome.code == code, outcome.output
    assert line in outcome.output
    assert "Traceback" not in outcome.output
