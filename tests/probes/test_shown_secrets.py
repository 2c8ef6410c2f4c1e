"""Secrets in answers, metrics and the log are found: faults in the server's own source."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gaia_checks.model import LogLocation, Measurement
from gaia_checks.probes import api
from gaia_checks.recorders.log import secret_search
from gaia_checks.target.sent_secrets import UNKNOWN_KEY, URL_PASSWORD, WRONG_TOKEN
from tests.probes.conftest import announce, migrated
from tests.probes.servers import TOKEN, real
from tests.support import patched
from tests.support.patched import Change

_REFUSED = 'return Problem(401, "the admin token is required",'
_LOGGING = "print('refused', connection.headers.get('authorization'), file=__import__('sys').stderr)"
_SERVED = "    config = _config(Server(chosen, executable_digest(sys.argv[0])))\n"

IN_ANSWERS: dict[str, tuple[Change, str]] = {
    "a refusal repeats the token that was sent": (
        (
            "gaia_server/auth.py",
            _REFUSED,
            "return Problem(401, f\"wrong: {connection.headers.get('authorization')}\",",
        ),
        f"GET /api/admin/quotas/config: status 401, and its answer contains {WRONG_TOKEN}",
    ),
    "a refusal names the right token": (
        ("gaia_server/auth.py", _REFUSED, 'return Problem(401, f"not {self.token}",'),
        "status 401, and its answer contains the admin token",
    ),
    "a metric has a series for each key": (
        (
            "gaia_server/http/app.py",
            "        route = _label(scope)\n",
            '        route = _label(scope) + dict(scope["headers"]).get(b"x-api-key", b"").decode()\n',
        ),
        f"GET /metrics: status 200, and its answer contains {UNKNOWN_KEY}",
    ),
}
IN_THE_LOG: dict[str, tuple[Change, str]] = {
    "every request is logged with its query": (
        ("gaia_server/__main__.py", "        access_log=False,\n", "        access_log=True,\n"),
        f"contains {URL_PASSWORD}: ",
    ),
    "every WebSocket is logged with its query": (
        ("gaia_server/logs.py", '    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)', "    pass"),
        f"contains {URL_PASSWORD}: ",
    ),
    "the settings are logged at the start": (
        ("gaia_server/__main__.py", _SERVED, f'{_SERVED}    logs.logging.info("started with %s", dict(os.environ))\n'),
        "contains the admin token: ",
    ),
    "a wrong token is logged": (
        (
            "gaia_server/auth.py",
            f"        {_REFUSED}",
            f"        {_LOGGING}\n        {_REFUSED}",
        ),
        f"contains {WRONG_TOKEN}: ",
    ),
}


@contextmanager
def looked_at(postgres: str, folder: Path, *changes: Change) -> Iterator[tuple[Measurement, Measurement]]:
    """Probe a changed server; yield `api.secrets_shown` and `log.secrets`."""
    log = folder / "server.log"
    program, _ = patched.source(folder / "source", *changes)
    with migrated(postgres) as dsn, real(program, dsn, log) as server:
        announce(server)
        shown = next(each for each in api.probe(server) if each.name == "api.secrets_shown")
        yield shown, secret_search.search(server, LogLocation(str(log)), log.read_bytes(), 0)


def test_the_real_server_shows_no_secret(postgres: str, tmp_path: Path) -> None:
    """Many answers and some lines were searched, and none holds a secret."""
    with looked_at(postgres, tmp_path) as (shown, logged):
        assert (shown.value, shown.notes, logged.value, logged.notes) == (0, (), 0, ())
        assert (shown.n > 40, logged.n > 0) == (True, True)


@pytest.mark.parametrize("fault", IN_ANSWERS)
def test_a_secret_in_an_answer_is_named_but_not_shown(postgres: str, tmp_path: Path, fault: str) -> None:
    """The note has the request and which secret it is."""
    change, said = IN_ANSWERS[fault]
    with looked_at(postgres, tmp_path, change) as (shown, _):
        assert shown.value > 0
        assert said in shown.notes[0]
        assert TOKEN not in str(shown)


@pytest.mark.parametrize("fault", IN_THE_LOG)
def test_a_secret_in_the_log_is_named_but_not_shown(postgres: str, tmp_path: Path, fault: str) -> None:
    """The note has the line's place and which secret it is."""
    change, said = IN_THE_LOG[fault]
    with looked_at(postgres, tmp_path, change) as (_, logged):
        assert logged.value > 0
        assert any(said in note and "***" in note for note in logged.notes), logged.notes
        assert TOKEN not in str(logged)
