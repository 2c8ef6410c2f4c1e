"""Servers of the page, with rows that a test may change while they run."""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from gaia_checks.promotion.environment_row import EnvironmentRow, Judged
from gaia_checks.serve import board
from gaia_checks.serve.page_server import PageServer
from tests.support import plain_http

TOKEN = "a-token-of-24-characters"
RUN = "20260226T100000Z-3fa9c1"


@dataclass
class Wall:
    """A running page."""

    rows: list[EnvironmentRow]
    fault: str | None = None  # why the records cannot be read
    server: PageServer = field(init=False)

    def read(self) -> list[EnvironmentRow]:
        """Return the rows as they are now."""
        if self.fault:
            raise OSError(self.fault)
        return self.rows

    @property
    def url(self) -> str:
        """Its address, with a slash at the end."""
        return self.server.url

    @property
    def port(self) -> int:
        """The port it took."""
        return int(self.server.server_address[1])

    def get(self, path: str, **headers: str) -> httpx.Response:
        """GET a path, without following a redirect."""
        return plain_http.get(f"http://127.0.0.1:{self.port}{path}", headers=headers)


Start = Callable[..., Wall]


@contextmanager
def running(rows: list[EnvironmentRow], host: str, token: str | None) -> Iterator[Wall]:
    """Serve in a thread while the block runs."""
    wall = Wall(rows)
    with PageServer(host, 0, token, wall.read) as wall.server:
        thread = threading.Thread(target=wall.server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield wall
        finally:
            wall.server.shutdown()
            thread.join()


@pytest.fixture
def reports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty reports folder."""
    folder = tmp_path / "reports"
    folder.mkdir()
    monkeypatch.setenv("GAIA_REPORTS", str(folder))
    return folder


@pytest.fixture
def start(reports: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Start pages that read their rows at each request."""
    assert reports.exists()
    monkeypatch.setattr(board, "EVERY_S", 0.0)
    with ExitStack() as stack:

        def start(*rows: EnvironmentRow, host: str = "127.0.0.1", token: str | None = None) -> Wall:
            return stack.enter_context(running(list(rows), host, token))

        yield start


def gated(environment: str = "qa", found: str = "pass", /, **more: object) -> EnvironmentRow:
    """An environment with a gated release in service."""
    row = EnvironmentRow(
        environment, "qa", "running", "phase-11.4", "0d51f70c2b6e" + "0" * 28, "2026-02-26T09:40:00.000Z",
        following="prod", promotion="signed",
        promoted_by="tag signed by ada@example.org; signed off: maintainer by ada@example.org",
    )  # fmt: skip
    row.verdict = Judged(
        found, RUN, rehearsal=False, by="gate-qa@example.org", until="2026-03-05T10:31:00.000Z",
        started_at="2026-02-26T10:00:00.000Z",
    )  # fmt: skip
    for name, value in more.items():
        setattr(row, name, value)
    return row
