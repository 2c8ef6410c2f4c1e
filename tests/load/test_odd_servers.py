"""Loads of servers that answer oddly: every request is counted once, with one line that says why, and the load ends."""

from collections.abc import Callable
from pathlib import Path

import pytest

from gaia_checks.load.engines import uvloop_engine
from gaia_checks.load.engines.gevent_client import GeventClient, NoReply
from gaia_checks.load.plan.request_mix import Mix, Request, problem
from tests.load.engines.test_uvloop_engine import plan, send
from tests.load.odd import NAMES, NO_REPLY, ODD, OddServer, serving
from tests.load.processes import locust, result

REQUESTS = [Request("GET", f"/{number}", keys=frozenset({"a"}), name=name) for number, name in NAMES.items()]
LOCUSTFILE = f"""
from gaia_checks.locustfile import Mix, OpenLoopUser, Request

NAMES = {NAMES!r}


class Odd(OpenLoopUser):
    mix = Mix([Request("GET", f"/{{number}}", keys=frozenset({{"a"}}), name=name) for number, name in NAMES.items()])
"""
RATE, WINDOW_S = 60, 2


def limit_s(request: Request) -> float:
    """Return how long to wait for an answer: briefly where none comes."""
    return 0.4 if ODD[request.label].problem == NO_REPLY else 5.0


def by_the_default_engine(server: OddServer, request: Request) -> list[str]:
    """Send a request three times; return the problems.

    Each follows when the server has closed the connection before, if it does: nobody can know of a close on its way.
    """
    found: list[str] = []
    client = GeventClient(server.url, {}, limit_s(request))
    for _ in range(3):
        try:
            found.append(problem(request, client.exchange("GET", request.path)) or "")
        except NoReply as error:
            found.append(str(error))
        assert server.settled.wait(40)
    client.close()
    return list(filter(None, found))


def by_the_precise_engine(server: OddServer, request: Request) -> list[str]:
    """Do the same, by a schedule."""
    observed = send(plan(server.url, "60", 0.05, Mix([request])))
    assert (observed["sent"], observed["done"], observed["generator_errors"]) == (3, 3, 0)
    assert observed["failed"] == len(observed["notes"])
    return list(observed["notes"])


@pytest.mark.parametrize("send_to", [by_the_default_engine, by_the_precise_engine])
@pytest.mark.parametrize("request_", REQUESTS, ids=lambda request: request.label)
def test_what_is_odd_is_named_in_one_line(
    request_: Request, send_to: Callable[[OddServer, Request], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of three requests is served, or fails for the same reason; none gets another's answer."""
    monkeypatch.setattr(uvloop_engine, "REPLY_LIMIT_S", limit_s(request_))
    odd = ODD[request_.label]
    with serving() as server:
        problems = send_to(server, request_)
    assert len(problems) == 3 * bool(odd.problem), problems
    for each in problems:
        assert odd.problem in each or (odd.alternatively and odd.alternatively in each)
        assert len(each) < 200
        assert "\n" not in each
    assert server.received[request_.label] == 3


@pytest.mark.parametrize("engine", ["locust", "precise"])
def test_a_load_of_odd_answers_ends_and_counts_each_request_once(engine: str, tmp_path: Path) -> None:
    """All kinds at once: what one does to its connection spoils no other's answer, and nothing is left to be read."""
    (tmp_path / "odd.py").write_text(LOCUSTFILE)
    options = ("-t", f"{WINDOW_S}s", "--rate", str(RATE), "--engine", engine, "--folder", ".")
    with serving() as server:
        done = locust(tmp_path / "odd.py", server.url, *options, cwd=tmp_path)
    observed, failing = result(tmp_path), {f"GET {name}" for name, odd in ODD.items() if odd.problem}
    assert "Traceback" not in done.stdout + done.stderr
    assert done.returncode in (1, 8)  # locust's own for failures, as no threshold was given
    assert (observed["intended"], observed["sent"], observed["done"]) == (RATE * WINDOW_S,) * 3
    assert observed["generator_errors"] == 0
    sent = {name: route["done"] for name, route in observed["routes"].items()}
    assert sent == {f"GET {name}": count for name, count in server.received.items()}
    failed = {name: route["failed"] for name, route in observed["routes"].items() if route["failed"]}
    assert failed == {name: count for name, count in sent.items() if name in failing}
