"""Whether a server lets go of its clients: what it holds is the same before thousands came and after they left.

All on a rehearsal copy, whose server nobody else uses.
"""

import asyncio
import itertools
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

import httpx
import psutil

from gaia_checks.errors import Inconclusive
from gaia_checks.model import Measurement, Target
from gaia_checks.probes.rehearsal import passing_clients
from gaia_checks.probes.rehearsal.copy_measurements import measured_on
from gaia_checks.probes.rehearsal.copy_protocol import BareCopyProtocol
from gaia_checks.probes.rehearsal.counted_rules import Counting
from gaia_checks.probes.rehearsal.passing_clients import AT_ONCE, ClientKind, PassingClients
from gaia_checks.probes.rehearsal.server_size import Size, SizeReader
from gaia_checks.target import postgres_session
from gaia_checks.target.client import client
from gaia_checks.target.responses import CONFIG
from gaia_checks.target.samples import Watch

COUNTED = {
    "descriptors": "descriptors",
    "threads": "threads",
    "processes": "processes",
    "sessions": "database sessions",
    "websocket_clients": "WebSocket clients",
}
"""What is counted, and how reasons call it."""

_MEASURED = {
    "resources.answered": "count",
    **{f"resources.{name}": "count" for name in COUNTED},
    "resources.memory": "MB",
    "resources.memory_by_kind": "MB",
}

_ROUNDS = 2
"""A runtime may grow once without a leak: memory counts that grows in every round."""

_SEND_S = 60.0  # in total; a server that makes its clients wait is judged by those that came
_TRIES, _TRIES_S = 5, 0.5  # of a last client
_SOON = 5  # readings after the clients of one kind
_BACK = 110  # readings after all, at least 11 s: a server that only writes notices at its second message


@dataclass(frozen=True, slots=True)
class _Step:
    """The clients of one kind in one round."""

    kind: ClientKind
    round: int
    sent: int
    before: Size
    after: Size

    @property
    def grown_mb(self) -> float:
        return self.after.memory_mb - self.before.memory_mb


@dataclass
class _Growth:
    """What clients left behind."""

    before: Size
    steps: list[_Step] = field(default_factory=list)
    after: Size | None = None  # at the end; None when the server does not answer
    waited_s: float = 0.0

    @property
    def size(self) -> Size:
        """The newest size."""
        return self.steps[-1].after if self.steps else self.before

    def sent(self, *, by_websocket: bool | None = None) -> int:
        """Return the number of clients."""
        return sum(each.sent for each in self.steps if by_websocket in (None, each.kind.by_websocket))

    def most_by(self, grown: Callable[[_Step], float]) -> str:
        """Return the kind of clients by which something has grown most."""
        of_kind: dict[ClientKind, list[_Step]] = {}
        for step in self.steps:
            of_kind.setdefault(step.kind, []).append(step)
        kind, steps = max(of_kind.items(), key=lambda each: sum(map(grown, each[1])))
        return f"most by {sum(step.sent for step in steps)} {kind.name}"

    def memory_mb(self, kind: ClientKind | None = None) -> float:
        """Return the growth per 1,000 clients, of one kind or of all, in the round in which it is the smallest."""
        found = []
        for number in range(_ROUNDS):
            steps = [each for each in self.steps if each.round == number and kind in (None, each.kind)]
            sent = sum(each.sent for each in steps)
            found.append(1000 * sum(each.grown_mb for each in steps) / sent if sent else 0.0)
        return max(0.0, min(found))


def probe(
    _target: Target,
    *,
    copy: AbstractContextManager[BareCopyProtocol],
    over: threading.Event,
    requests: float,
    websockets: float,
) -> list[Measurement]:
    """Measure `resources.*`, all on a rehearsal copy; without one, or once the gate is over, there is only a reason."""
    return measured_on(
        copy, _MEASURED, lambda place: on_copy(place, over, requests=int(requests), websockets=int(websockets))
    )


def on_copy(place: BareCopyProtocol, over: threading.Event, *, requests: int, websockets: int) -> list[Measurement]:
    """Start a server, let clients of each kind come and go, and compare what it holds before and after."""
    watch, server = Watch(), place.start()
    target = server.target
    try:
        with (
            client(target) as http,
            client(target, keyed=False) as unkeyed,
            postgres_session.session(target) as session,
        ):
            counting = Counting(http, target)
            counting.known()
            refused = counting.rule("resources-refusing", "requests_per_hour", 0)
            counting.settle()
            reader = SizeReader(psutil.Process(server.process.pid), unkeyed, session, over)
            clients = PassingClients(target, time.monotonic() + _SEND_S)
            growth = _come_and_go(reader, clients, passing_clients.kinds(target, refused.key), (requests, websockets))
            if wrong := _unserved(http, over):
                clients.answers.add(wrong)
    except postgres_session.NoSession as error:
        raise Inconclusive(str(error)) from error
    answered = watch.counted("resources.answered", clients.answers, "clients that were answered")
    counted = [_counted(watch, growth, name, words) for name, words in COUNTED.items()]
    return [answered, *counted, *_memory(watch, growth)]


def _unserved(http: httpx.Client, over: threading.Event) -> str | None:
    """Return why a further client is not served; an answer may still be late at first."""
    path, wrong = f"{CONFIG}?limit=1", None
    for _ in range(_TRIES):
        try:
            status = http.get(path, headers={"Connection": "close"}).status_code
        except httpx.HTTPError as error:
            wrong = f"GET {path}: no answer after all clients had left: {type(error).__name__}"
        else:
            if status == 200:
                return None
            wrong = f"GET {path}: status {status} after all clients had left"
        if over.wait(_TRIES_S):
            break
    return wrong


def _come_and_go(
    reader: SizeReader, clients: PassingClients, kinds: Sequence[ClientKind], numbers: tuple[int, int]
) -> _Growth:
    """Send some clients of each kind, so that caches and pools are filled, and then all of them."""
    for kind in kinds:
        asyncio.run(clients.send(kind, AT_ONCE))
    growth = _Growth(reader.steady(_BACK))
    for number, kind in itertools.product(range(_ROUNDS), kinds):
        alike = sum(each.by_websocket == kind.by_websocket for each in kinds)
        before = growth.size
        sent = asyncio.run(clients.send(kind, numbers[kind.by_websocket] // (alike * _ROUNDS)))
        growth.steps.append(_Step(kind, number, sent, before, reader.back(before, _SOON) or before))
    started_s = time.monotonic()
    growth.after = reader.back(growth.before, _BACK)
    growth.waited_s = time.monotonic() - started_s
    return growth


def _counted(watch: Watch, growth: _Growth, name: str, words: str) -> Measurement:
    how = f"{words} of the server {growth.waited_s:.0f} s after all clients had left, above those before"
    if growth.after is None or name not in growth.after.beyond(growth.before):
        return watch.measurement(f"resources.{name}", 0, "count", 0, how, (f"the server does not report {words}",))
    before, left = growth.before.counts[name], growth.after.beyond(growth.before)[name]
    number = growth.sent(by_websocket=True if name == "websocket_clients" else None)
    most = growth.most_by(lambda step: step.after.beyond(step.before).get(name, 0))
    note = (
        f"{words} {before} -> {before + left}, {growth.waited_s:.0f} s after {number} clients left "
        f"({left / max(number, 1):.2g} each), {most}"
    )
    return watch.measurement(f"resources.{name}", left, "count", number, how, (note,) if left else ())


def _memory(watch: Watch, growth: _Growth) -> list[Measurement]:
    """Return the growth of memory by all clients, and by those of the kind that leave most."""
    how = "private memory of the server's processes, growth per 1,000 clients, smallest of several rounds"
    first, last, number = growth.before.memory_mb, growth.size.memory_mb, growth.sent() if growth.after else 0
    most = growth.most_by(lambda step: step.grown_mb)
    note = f"memory {first:.1f} -> {last:.1f} MB by {growth.sent()} clients, {most}"
    kind = max({each.kind for each in growth.steps}, key=growth.memory_mb)
    of_kind = growth.memory_mb(kind)
    note_of_kind = f"about {of_kind:.1f} kB kept of each of the {kind.name}"
    return [
        watch.measurement("resources.memory", round(growth.memory_mb(), 3), "MB", number, how, (note,)),
        watch.measurement("resources.memory_by_kind", round(of_kind, 3), "MB", number, how, (note_of_kind,)),
    ]
