"""A gaia_server with a switch: a file lists its active faults.

The product is untouched: what spoils it is an ASGI layer around its application, put there where uvicorn takes the
application. An empty switch lets everything be right.
"""

import json
import zipapp
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import uvicorn

from gaia_checks.environment.project import ROOT
from tests.faults import wrong
from tests.faults.way import Way

_SCRIPT = """
import sys
sys.path.insert(0, {root!r})
from tests.faults.server import main
main({switch!r})
"""


@dataclass(frozen=True)
class Switch:
    """The file of the active faults."""

    path: Path

    @contextmanager
    def on(self, *ways: Way) -> Iterator[None]:
        """Activate these faults, each wrapped around the previous ones."""
        self._write(json.dumps([way.to_json() for way in ways]))
        try:
            yield
        finally:
            self._write("")

    def _write(self, text: str) -> None:
        """Write the file atomically: a server may be reading."""
        draft = self.path.with_suffix(".draft")
        draft.write_text(text)
        draft.rename(self.path)

    def read(self) -> str:
        """Return the file's content."""
        return self.path.read_text() if self.path.exists() else ""


def write(folder: Path, name: str = "faulty_server") -> tuple[Path, Switch]:
    """Write the executable, a single file; return it and its switch. Another name is another release."""
    executable, switch = folder / name, Switch(folder / f"{name}.switch")
    source = folder / f"{name}.source"
    source.mkdir()
    (source / "__main__.py").write_text(_SCRIPT.format(root=str(ROOT), switch=str(switch.path)))
    zipapp.create_archive(source, executable, interpreter="/usr/bin/env python3")
    return executable, switch


class Layer:
    """Wraps an application, and applies the switch's faults."""

    def __init__(self, app: Any, switch: Switch) -> None:
        self._app = app
        self._switch = switch
        self._text = ""
        self._ways: list[Way] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one connection."""
        self._look()
        app = self._app
        for way in self._ways:
            app = partial(way.serve, app)
        await app(scope, receive, send)

    def _look(self) -> None:
        """Reload the switch if it has changed."""
        if (text := self._switch.read()) != self._text:
            for way in self._ways:
                way.end()
            self._text, self._ways = text, _ways(text)


def _ways(text: str) -> list[Way]:
    return [wrong.from_json(record) for record in json.loads(text or "[]")]


def main(path: str) -> None:
    """Run gaia_server with the layer around its application."""
    from gaia_server.__main__ import main as serve

    switch = Switch(Path(path))
    for way in _ways(switch.read()):
        way.begin()
    original = uvicorn.Config.__init__

    def wrapped(self: uvicorn.Config, app: Any, *args: Any, **kwargs: Any) -> None:
        original(self, Layer(app, switch), *args, **kwargs)

    uvicorn.Config.__init__ = wrapped  # type: ignore[method-assign]
    serve()
