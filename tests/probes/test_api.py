"""The API probe: the real server keeps its contract; every fault is detected, counted and named."""

import json
import os
import signal
import socketserver
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from gaia_checks.deploy.supervisor.spawn import free_port
from gaia_checks.errors import TargetUnreachable
from gaia_checks.model import Measurement, Target
from gaia_checks.probes import api
from gaia_checks.target import rules
from gaia_checks.target.client import client, key
from gaia_checks.target.responses import ANALYTICS, CONFIG, USAGE, VIOLATIONS
from tests.probes.modified import modified
from tests.probes.servers import Spoil, spoiled, target


def look(at: Target) -> dict[str, Measurement]:
    """Run the probe and return its measurements, without the prefix of their names."""
    return {observed.name.removeprefix("api."): observed for observed in api.probe(at)}


def left_behind(server: Target) -> list[str]:
    """Return the left-over rules of this run."""
    with client(server) as http:
        rules = http.get(CONFIG, params={"limit": 200}).raise_for_status().json()["items"]
    names = {rule["rule_name"] for rule in rules}
    return sorted(name for name in names - {key(server)} if key(server) in name)


def on(method: str, path: str, change: Callable[[Response], Response]) -> Spoil:
    """Change the answers to one method of one route, below it too."""

    def spoil(request: Request, response: Response) -> Response:
        return change(response) if request.method == method and request.url.path.startswith(path) else response

    return spoil


def status(code: int) -> Callable[[Response], Response]:
    """Answer as before, but with another status."""

    def change(response: Response) -> Response:
        return Response(response.body, code, dict(response.headers))

    return change


def body(**fields: object) -> Callable[[Response], Response]:
    """Answer as before, but with other values in the body."""

    def change(response: Response) -> Response:
        changed = {**json.loads(bytes(response.body)), **fields}
        kept = {name: value for name, value in response.headers.items() if name != "content-length"}
        return JSONResponse(changed, response.status_code, kept)

    return change


def without(header: str) -> Callable[[Response], Response]:
    """Answer as before, but without a header."""

    def change(response: Response) -> Response:
        del response.headers[header]
        return response

    return change


def test_the_real_api_keeps_its_contract(server: Target) -> None:
    """Every route and behaviour, every kind of bad input, no server error, and nothing is left behind."""
    observed = look(server)
    assert observed["contract_kept"].notes == ()
    assert observed["contract_kept"].value == observed["contract_kept"].n >= 5
    assert observed["bad_input_rejected"].notes == ()
    assert observed["bad_input_rejected"].value == observed["bad_input_rejected"].n >= 20
    assert (observed["server_errors"].value, observed["server_errors"].notes) == (0, ())
    assert left_behind(server) == []


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", CONFIG),
        ("POST", CONFIG),
        ("PUT", CONFIG),
        ("DELETE", CONFIG),
        ("GET", USAGE),
        ("GET", VIOLATIONS),
        ("GET", ANALYTICS),
    ],
)
def test_a_lost_route_is_named(server: Target, method: str, path: str) -> None:
    """Any missing route is detected."""
    with spoiled(server, on(method, path, status(404))) as at:
        observed = look(at)
    with client(server) as http:
        for name in left_behind(server):  # made by a route whose answer was lost; the end of a gate removes it by name
            rules.remove(http, name)
    assert observed["contract_kept"].value < observed["contract_kept"].n
    assert any(note.startswith(f"{method} {path}") for note in observed["contract_kept"].notes)


def test_a_server_error_is_counted_and_named(server: Target) -> None:
    """A 500 on one route is a server error and a contract fault."""
    with spoiled(server, on("GET", USAGE, status(500))) as at:
        observed = look(at)
    assert observed["server_errors"].value == 1
    assert observed["server_errors"].notes == (f"GET {USAGE}: status 500",)
    assert f"GET {USAGE}: status 500 instead of 200" in observed["contract_kept"].notes


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (on("GET", USAGE, body(items=None)), "items is no list of objects"),
        (on("GET", VIOLATIONS, body(items=[7])), "items is no list of objects"),
        (on("GET", VIOLATIONS, body(total=-1)), "total is -1"),
        (on("GET", VIOLATIONS, body(items=[{}] * 9, total=9)), "9 items, requested 5"),
        (on("GET", ANALYTICS, lambda _: Response("[]", media_type="application/json")), "no JSON object"),
        (on("GET", ANALYTICS, lambda _: Response("{", media_type="application/json")), "no JSON object"),
        (on("GET", ANALYTICS, lambda _: Response("{}", media_type="text/html")), "content type 'text/html'"),
        (on("GET", USAGE, without("RateLimit")), "header RateLimit is missing"),
        (on("GET", USAGE, without("X-RateLimit-Reset")), "header X-RateLimit-Reset is missing"),
        (on("PUT", CONFIG, body(limit_value=5)), "limit_value is 5 instead of 999999"),
        (on("DELETE", CONFIG, status(200)), "status 200 instead of 204"),
        (on("GET", "/openapi.json", body(paths={})), f"does not describe {CONFIG}"),
    ],
)
def test_a_wrong_answer_is_named(server: Target, spoil: Spoil, said: str) -> None:
    """A 200 with the wrong body or headers is a contract fault."""
    with spoiled(server, spoil) as at:
        observed = look(at)
    assert observed["contract_kept"].value < observed["contract_kept"].n
    assert any(said in note for note in observed["contract_kept"].notes)


LENIENT = {
    "the last of two values of a field is taken": (
        ("gaia_server/http/request_parsing.py", ", object_pairs_hook=_object)", ")"),
        f"POST {CONFIG}: status 201 instead of 400 or 422",
    ),
    "an unknown parameter is ignored": (
        ("gaia_server/http/definitions/parameters.py", 'ConfigDict(extra="forbid", ', "ConfigDict("),
        f"GET {CONFIG}: status 200 instead of 400 or 422",
    ),
    "a 405 does not list the methods": (
        ("gaia_server/http/routes.py", ', headers={"Allow": ", ".join(sorted(self._apps))})', ")"),
        f"DELETE {USAGE}: Allow is '', should list GET",
    ),
    "times have no milliseconds": (
        ("gaia_server/encoding.py", 'timespec="milliseconds"', 'timespec="seconds"'),
        "no RFC 3339 time in UTC with milliseconds",
    ),
    "violations of a deleted key remain": (
        (
            "migrations/050_rate_limiting.sql",
            "        DELETE FROM rate_limit_violations WHERE key = 'api_key:' || OLD.scope_value;\n",
            "",
        ),
        "1 violations of its key remain, although no rule names it any more",
    ),
}


def test_what_a_server_reads_or_writes_too_leniently_is_named(postgres: str, tmp_path: Path) -> None:
    """Each of these faults of its source is one wrong sample, and accepted rules are removed."""
    with modified(postgres, tmp_path, *(change for change, _ in LENIENT.values())) as at:
        observed = look(at)
        assert left_behind(at) == []
    notes = observed["contract_kept"].notes + observed["bad_input_rejected"].notes
    found = {fault: sum(said in note for note in notes) for fault, (_, said) in LENIENT.items()}
    assert found == dict.fromkeys(LENIENT, 1)
    assert len(notes) == len(LENIENT)


def refused_page(request: Request, response: Response) -> Response:
    """Refuse the largest page."""
    largest = request.url.path == CONFIG and request.query_params.get("limit") == "200"
    return status(422)(response) if largest else response


def ignored_version(_request: Request, response: Response) -> Response:
    """Answer a change of an older version as if it had been made."""
    return status(200)(response) if response.status_code == 412 else response


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (refused_page, f"GET {CONFIG}: status 422 instead of 200"),
        (ignored_version, "status 200 instead of 412"),
        (on("GET", CONFIG, without("ETag")), None),
    ],
)
def test_the_largest_page_and_an_older_version_are_tried(server: Target, spoil: Spoil, said: str | None) -> None:
    """A server without versions is not asked for one that is older."""
    with spoiled(server, spoil) as at:
        kept = look(at)["contract_kept"]
    assert kept.value == (kept.n - 1 if said else kept.n)
    assert not said or any(said in note for note in kept.notes)


@pytest.mark.parametrize("served_as", [400, 413, 422])
def test_each_kind_of_bad_input_must_be_refused(server: Target, served_as: int) -> None:
    """Deep nesting, infinite numbers and large bodies among them: an error of the server is none of them."""

    def failing(request: Request, response: Response) -> Response:
        refused = request.method == "POST" and request.url.path == CONFIG and response.status_code == served_as
        return status(500)(response) if refused else response

    with spoiled(server, failing) as at:
        observed = look(at)
    assert observed["bad_input_rejected"].value < observed["bad_input_rejected"].n
    assert observed["server_errors"].value > 0


def test_bad_input_that_is_accepted_is_named_and_removed(server: Target) -> None:
    """Accepted invalid rules are detected, and removed afterwards."""

    def lenient(request: Request, response: Response) -> Response:
        if request.method != "POST" or response.status_code != 422:
            return response
        with client(server) as http:
            rule = {
                "rule_name": f"{target('http://x').key}-{os.urandom(4).hex()}",
                "scope": "api_key",
                "scope_value": "nobody",
            }
            made = http.post(CONFIG, json={**rule, "limit_type": "daily_quota", "limit_value": 1})
        return Response(made.content, made.status_code, {"Content-Type": "application/json"})

    with spoiled(server, lenient) as at:
        observed = look(at)
    assert observed["bad_input_rejected"].n - observed["bad_input_rejected"].value > 10
    assert "status 201 instead of 422" in observed["bad_input_rejected"].notes[0]
    assert left_behind(server) == []


def test_an_api_that_is_open_to_all_is_found_out(server: Target) -> None:
    """Where a token is required, no token and a wrong one are bad input."""

    def open_to_all(request: Request, response: Response) -> Response:
        if response.status_code != 401:
            return response
        with client(server) as http:
            answer = http.get(request.url.path)
        return Response(answer.content, answer.status_code, {"Content-Type": "application/json"})

    with spoiled(server, open_to_all) as at:
        observed = look(at)["bad_input_rejected"]
    assert observed.n - observed.value == 2
    assert "status 200 instead of 401 or 403" in observed.notes[0]


def test_an_interrupted_look_leaves_nothing(server: Target) -> None:
    """An interrupt while a rule exists removes the rule."""
    interrupted: list[list[str]] = []

    def interrupting(request: Request, response: Response) -> Response:
        if request.method == "PUT" and not interrupted:
            interrupted.append(left_behind(server))
            os.kill(os.getpid(), signal.SIGINT)
        return response

    with spoiled(server, interrupting) as at, pytest.raises(KeyboardInterrupt):
        look(at)
    made = (f"{target('http://x').key}-api-{name}" for name in ("contract", "deleted", "deleted-refusing"))
    assert interrupted == [[*made]]
    assert left_behind(server) == []


def test_a_rate_limited_probe_waits_for_retry_after(server: Target) -> None:
    """The server's own limits are no fault: a 429 is retried after its Retry-After."""
    refused: list[Request] = []

    def busy(request: Request, response: Response) -> Response:
        if request.url.path == USAGE and not refused:
            refused.append(request)
            return Response(status_code=429, headers={"Retry-After": "0"})
        return response

    with spoiled(server, busy) as at:
        observed = look(at)
    assert refused
    assert observed["contract_kept"].notes == ()


def test_a_location_elsewhere_is_not_followed(server: Target) -> None:
    """A Location with another host never receives the token."""

    def away(_: Request, response: Response) -> Response:
        if "Location" in response.headers:
            response.headers["Location"] = "http://127.0.0.1:9" + response.headers["Location"]
        return response

    with spoiled(server, away) as at:
        observed = look(at)
    assert observed["contract_kept"].value == observed["contract_kept"].n


def test_an_api_that_falls_silent_does_not_delay_the_gate() -> None:
    """After a few requests without an answer no more are sent, and the measurements fail."""
    requests: list[bytes] = []

    class Once(socketserver.StreamRequestHandler):
        """Answers the first request only."""

        def handle(self) -> None:
            requests.append(self.rfile.readline())
            if len(requests) == 1:
                self.wfile.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}")

    with socketserver.TCPServer(("127.0.0.1", 0), Once) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        observed = look(target(f"http://127.0.0.1:{server.server_address[1]}"))
        server.shutdown()
        thread.join()
    assert observed["contract_kept"].value == observed["bad_input_rejected"].value == 0
    assert len(requests) == 4
    assert "no answer" in observed["contract_kept"].notes[0]


def test_no_listener_is_no_data() -> None:
    """Without a listener the probe raises TargetUnreachable."""
    with pytest.raises(TargetUnreachable, match="is it running"):
        look(target(f"http://127.0.0.1:{free_port()}"))
