"""An adapter that cannot translate particular content: what needs that is undecided and named, the rest is judged."""

import json

import pytest

from gaia_checks import jsonl
from tests.stranger.test_gated import TOKEN, environment_file, stranger
from tests.support.ground import ROOT, Outcome, ground

ADAPTER = ROOT / "environments" / "adapters" / "stranger.py"
ANSWER = "        headers = {**answer.headers, **limit_headers(answer)}\n"
MESSAGE = "        data = dict(message"
SLEEP = "__import__('time').sleep(600)"
LATE = "did not return within 5 s"
ANY = "the answer to GET /api/admin/quotas/"


def gated(broken: str, before: str, looks: str, load: str = "") -> Outcome:
    """Gate the server with an adapter in which this line stands before another one."""
    source = ADAPTER.read_text()
    assert source.count(before) == 1
    with stranger() as url, ground(database="external", ADMIN_TOKEN=TOKEN) as place:
        file = environment_file(place, url, load)
        (place.folder / "broken.py").write_text(source.replace(before, f"        {broken}\n{before}"))
        file.write_text(file.read_text().replace(str(ADAPTER), "broken.py"))
        outcome = place.gate(file, "--stage=qa", "--complete", "-k", f"health or ({looks})")
        left = [each for each in jsonl.read(outcome.folder / "measurements.jsonl") if each["name"] == "gate.rows_left"]
        assert [(each["value"], each["n"]) for each in left] == [(0, 1)], left
        return outcome


@pytest.mark.parametrize(
    ("looks", "criterion", "broken", "about", "why"),
    [
        ("api", "dev.api", f'if "/violations" in request.path: {SLEEP}', f"{ANY}violations", f"answer() {LATE}"),
        ("api", "dev.api", 'while "/violations" in request.path: pass', f"{ANY}violations", f"answer() {LATE}"),
        ("api", "dev.api", 'if "/usage" in request.path: {}["x"]', f"{ANY}usage", "answer() raised KeyError('x')"),
        ("api", "dev.api", 'if "/usage" in request.path: return 1', f"{ANY}usage", "answer() raised TypeError("),
        ("api", "dev.api", 'bytearray(("/usage" in request.path) << 32)', f"{ANY}usage", "raised MemoryError()"),
        ("limiting", "qa.rate_limiting", f"if answer.status == 429: {SLEEP}", ANY, f"(status 429): answer() {LATE}"),
    ],
)  # fmt: skip
def test_what_cannot_be_translated_is_undecided(looks: str, criterion: str, broken: str, about: str, why: str) -> None:
    """The criterion names adapter, exchange and method; health, which needs none of that, is judged."""
    shows_that(gated(broken, ANSWER, looks), criterion, about, why)


@pytest.mark.parametrize("kind", ["violation", "ping"])
def test_a_message_that_cannot_be_translated_is_undecided(kind: str) -> None:
    """A soak ends in its time, and names the message."""
    outcome = gated(f'while message["type"] == "{kind}": pass', MESSAGE, "websocket")
    about = f"a WebSocket message of type '{kind}'"
    shows_that(outcome, "qa.websocket_soak", about, f"message() {LATE}")


@pytest.mark.parametrize("engine", ["locust", "precise"])
@pytest.mark.parametrize(
    ("broken", "why"),
    [('while "usage?limit=20" in request.path: pass', LATE), ('assert "usage?limit=20" not in request.path', "raised")],
)
def test_a_load_of_which_an_answer_cannot_be_translated_ends(engine: str, broken: str, why: str) -> None:
    """It would wait for every such answer, and its figures would be the adapter's."""
    outcome = gated(broken, ANSWER, "load_is_served", f'engine = "{engine}"\n')
    shows_that(outcome, "qa.load", f"{ANY}usage?limit=20 (status 200)", f"answer() {why}")


def shows_that(outcome: Outcome, criterion: str, about: str, why: str) -> None:
    """Hold that a criterion is inconclusive for this reason, which the gate prints, and health passed."""
    said = outcome.not_passed()[criterion]
    assert outcome.code == 8, outcome.output[-3000:]
    assert said.startswith("inconclusive: "), said
    assert f"the adapter Stranger cannot translate {about}" in said, said
    assert why in said, said
    assert outcome.states["dev.health"] == "pass", outcome.not_passed()
    assert "Traceback" not in outcome.output
    assert TOKEN not in json.dumps(outcome.verdict)
