"""Adapters that are wrong: each is named in one line, before a gate or by it, and none hangs or crashes one."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from gaia_checks import contract
from gaia_checks.contract import inline_translator, translator
from gaia_checks.contract.adapter import HttpAnswer, HttpRequest
from gaia_checks.errors import AdapterError, EnvironmentFileError
from gaia_checks.model import Names
from tests.support.ground import ROOT, ground

HEAD = "from gaia_checks.contract.adapter import Adapter, HttpAnswer, HttpRequest\n\n\nclass Ours(Adapter):\n"
HANGS = "__import__('time').sleep(5)"
SLEEPS = "__import__('time').sleep(60)"
MUCH = "return bytearray(4 << 30)"
both = pytest.mark.parametrize("start", [translator.running, inline_translator.running], ids=["process", "inline"])
"""Both ways to call an adapter: in a process of its own, and in the load's."""
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
        (HANGS, "it did not return within 0.5 s"),
        (method("request", HANGS), "Ours cannot translate GET /health: request() did not return within 0.5 s"),
        (
            method("reply", HANGS),
            "Ours cannot translate a WebSocket message of type None: reply() did not return within 0.5 s",
        ),
    ],
)
def test_one_that_cannot_be_used_is_refused(
    source: str, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The line names key, file and reason."""
    monkeypatch.setattr(translator, "_RETURNS_WITHIN_S", 0.5)
    path = tmp_path / "ours.py"
    path.write_text(source)
    with pytest.raises(EnvironmentFileError) as error:
        translator.read("qa.toml: contract.adapter", path)
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
    with pytest.raises(AdapterError, match="the adapter Ours cannot translate GET /health: ") as error:
        contract.outgoing(names, HEALTH)
    assert why in str(error.value)


@both
@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("return None", "raised TypeError('it returned NoneType, not HttpAnswer')"),
        ("return HttpAnswer('200')", "raised TypeError(\"status is '200', not a number\")"),
        ("return HttpAnswer(200, {'x': 1})", "raised TypeError('headers are not texts')"),
        ("return HttpAnswer(200, body={1})", "raised TypeError('Object of type set is not JSON serializable')"),
        ("return {}['build']", "raised KeyError('build')"),
        ("raise SystemExit(0)", "raised SystemExit(0)"),
        (MUCH, "raised MemoryError()"),
        (SLEEPS, "did not return within 0.5 s"),
        ("while True: pass", "did not return within 0.5 s"),
        ("__import__('re').match('(a+)+b', 'a' * 40)", "did not return within 0.5 s"),
    ],
)
def test_an_answer_that_is_not_translated_decides_nothing(
    line: str, why: str, start: contract.Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The line names adapter, method and exchange; other content is translated as before."""
    for each in (translator, inline_translator):
        monkeypatch.setattr(each, "_RETURNS_WITHIN_S", 0.5)
    names = Names(adapter=method("answer", "if args[1].status == 200: return args[1]", line))
    assert contract.incoming(names, HEALTH, ANSWER, start) == ANSWER
    with pytest.raises(AdapterError) as error:
        contract.incoming(names, HEALTH, HttpAnswer(404), start)
    said = f"the adapter Ours cannot translate the answer to GET /health (status 404): answer() {why}"
    assert str(error.value) == said
    assert contract.incoming(names, HEALTH, ANSWER, start) == ANSWER
    for each in (translator, inline_translator):
        monkeypatch.setattr(each, "_RETURNS_WITHIN_S", 600)
    with pytest.raises(AdapterError) as again:  # it is waited for once
        contract.incoming(names, HEALTH, HttpAnswer(404), start)
    assert str(again.value) == said


@both
def test_an_error_of_the_server_needs_no_translation(start: contract.Start) -> None:
    """A server that breaks is judged by its answer, whether the adapter knows that or not."""
    names = Names(adapter=method("answer", "return args[1].body['rules']"))
    broken = HttpAnswer(500, {"content-type": "text/html"})
    assert contract.incoming(names, HEALTH, broken, start) == broken


def test_one_that_stops_its_process_is_named() -> None:
    """It ends its own alone."""
    names = Names(adapter=method("message", "__import__('os')._exit(0)"))
    for _ in range(2):
        with pytest.raises(AdapterError, match=r"of type 'odd': message\(\) stopped its process$"):
            contract.our_message(names, json.dumps({"type": "odd"}))


def test_one_sees_no_variable_and_prints_nowhere(capfd: pytest.CaptureFixture[str]) -> None:
    """The gate's environment has secrets, and its output is its own."""
    lines = ("print('seen')", "return {'variables': sorted(__import__('os').environ)}")
    shown = json.loads(contract.our_message(Names(adapter=method("message", *lines)), "{}"))
    assert set(shown["variables"]) <= {"LC_CTYPE"}
    assert capfd.readouterr() == ("", "")


INTERRUPTED = """
import signal, sys
from gaia_checks import contract
from gaia_checks.model import Names
names = Names(adapter=sys.argv[1])
contract.our_message(names, "{}")
try:
    print("ready", flush=True)
    signal.pause()
except KeyboardInterrupt:
    print(contract.our_message(names, '{"type": "last"}'))
"""


def test_an_interrupt_reaches_the_gate_and_not_its_adapter() -> None:
    """A gate that was interrupted removes its rules, and needs it for that."""
    argv = (sys.executable, "-c", INTERRUPTED, method("message", "return args[0]"))
    gate = subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, text=True, start_new_session=True)
    assert gate.stdout is not None
    assert gate.stdout.readline() == "ready\n"
    os.killpg(gate.pid, signal.SIGINT)
    assert gate.communicate(timeout=60)[0] == '{"type": "last"}\n'


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("return None", "raised TypeError('it returned NoneType, not dict')"),
        ("return {1: {2}}", "raised TypeError('Object of type set is not JSON serializable')"),
        ("return 1 / 0", "raised ZeroDivisionError('division by zero')"),
    ],
)
def test_a_message_that_is_not_translated_decides_nothing(line: str, why: str) -> None:
    """Nor does one for which no reply is known; what is no JSON object is no adapter's."""
    names = Names(adapter=method("message", line))
    with pytest.raises(AdapterError) as error:
        contract.our_message(names, '{"type": "odd"}')
    assert str(error.value) == f"the adapter Ours cannot translate a WebSocket message of type 'odd': message() {why}"
    with pytest.raises(AdapterError, match=r"reply\(\) raised ZeroDivisionError"):
        contract.reply(Names(adapter=method("reply", "return 1 / 0")), '{"type": "odd"}')
    assert contract.our_message(names, "[no JSON") == "[no JSON"
    assert contract.reply(names, b"") is None


@pytest.mark.parametrize(
    ("source", "code", "line"),
    [
        ("class Ours(:\n", 4, "SyntaxError: invalid syntax (<adapter>, line 1)"),
        (method("request", "return None"), 8, "it returned NoneType, not HttpRequest"),
        (method("request", "return 1 / 0"), 8, "the adapter Ours cannot translate"),
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
