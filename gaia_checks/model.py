"""The project's words as frozen values. Units stand in the field names or beside the value.

No I/O, no clock, nothing but the standard library: every other module may import this one.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

STAGES = ("dev", "qa", "prod")
"""The stages in order; each includes the criteria of those before it."""

CAPABILITIES = (
    "health", "admin.rules", "admin.usage", "websocket", "metrics", "database", "process", "log", "artifact", "browser",
)  # fmt: skip
"""What a criterion may need of a target and of the machine that gates it."""


NOT_CHECKED = "not checked: "
"""Prefix of a note of an optional check's measurement: why this target, or a part of it, was not examined."""

Log = Callable[[str], None]
"""Receives one line for the person who runs a command, or for the log of one that nobody watches."""


class State(StrEnum):
    """What a verdict can say."""

    PASS = "pass"  # noqa: S105 - a verdict, not a password
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"
    NOT_APPLICABLE = "not applicable"  # of a criterion only: the target cannot have it by its nature


def timestamp(moment: datetime) -> str:
    """Return `moment` as RFC 3339 UTC with milliseconds: `2026-02-26T10:00:00.000Z`."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def minute(at: str) -> str:
    """Return a timestamp as people read it, to the minute."""
    return f"{at[:10]} {at[11:16]} UTC"


@dataclass(frozen=True, slots=True)
class Measurement:
    """What was observed, when and how. Never a judgement.

    `value` is a number, a text, a truth value, or one of the shapes that `judge.judgement` documents for
    its rules (a histogram, counts per block, a series). For "how many of n were good", `value` is the
    number of good ones and `n` the number tried.
    """

    name: str  # dotted, first the look: "health.good"
    value: Any
    unit: str  # "count", "s", "ms", "bytes", "req/s", "text", "bool", "hdr"
    n: int  # samples behind the value; 0 means that nothing was observed
    window_s: float  # how long was looked
    at: str  # RFC 3339 UTC, when the look finished
    how: str  # one plain sentence
    notes: tuple[str, ...] = ()  # the first few examples of what went wrong

    def to_json(self) -> dict[str, Any]:
        """Return a JSON object that `from_json` reads back."""
        return asdict(self)

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> "Measurement":
        """Read what `to_json` wrote. Raises KeyError or TypeError for anything else."""
        return cls(**{**record, "notes": tuple(record["notes"])})


@dataclass(frozen=True, slots=True)
class Check:
    """One comparison that a criterion makes: a rule of `judge.judgement` applied to one measurement."""

    measurement: str
    rule: str
    threshold: float | str | bool
    unit: str
    min_n: int = 1  # fewer samples decide nothing
    percentile: float | None = None  # for the rule "percentile"
    burst_s: float | None = None  # for statistical rules: requests due within so long may go wrong together
    generator: bool = (
        False  # about the load generator: on the wrong side it makes the criterion inconclusive, never failed
    )
    excuses: bool = False  # of these one that only makes the server look worse: a pass stands nevertheless
    certain: bool = False  # no fault of the generator or of its machine explains a failure of this check
    explained_by: str | None = None  # the measurement of stalls that may explain what is bad here
    optional: bool = False  # a target that does not show it is not judged on it: the remarks say why
    closing: bool = False  # measured when the gate closes, after the criterion's test
    on_copy: bool = False  # measured once on a rehearsal copy, not over the window of the look

    @property
    def share(self) -> float:
        """Of statistical rules: the share of requests that must be good; for p99 it is 0.99."""
        return float(self.threshold) if self.percentile is None else self.percentile / 100


@dataclass(frozen=True, slots=True)
class Criterion:
    """One thing a stage promises. Data, not code: it comes from criteria.toml."""

    id: str  # "qa.load"
    claim: str
    look: str  # the name of the look that gives its measurements
    window_s: float  # a measurement over less decides nothing
    max_window_s: float  # how far the look may be extended
    looks_s: tuple[float, ...]  # after how long its growing sample is judged: nominal end, then the extensions
    checks: tuple[Check, ...]
    needs: tuple[str, ...] = ()  # without these it cannot pass: capabilities, "a or b" where either is enough
    applies_when: str | None = None  # a fact of `judge.applicability`; None: to every target
    lacks_limits: bool = False  # its thresholds are the environment file's, which gives none: it is only measured

    @property
    def stage(self) -> str:
        """The first stage that promises this."""
        return self.id.partition(".")[0]


@dataclass(frozen=True, slots=True)
class Finding:
    """The outcome of one check."""

    measurement: str
    state: State
    why: str
    measured: float | str | bool | None
    bound: float | None  # the side of the interval that decided; None where the value is exact
    threshold: float | str | bool | None
    unit: str
    n: int
    needs_s: float | None  # how many more seconds of looking would decide; None where that is not the question
    relation: str = ""  # how a good value relates to the threshold, "≥", "≤", "<"; empty where only it is good


@dataclass(frozen=True, slots=True)
class CriterionVerdict:
    """The judgement of one criterion: the finding that decided it, and all of them."""

    id: str
    claim: str
    state: State
    why: str
    measured: float | str | bool | None
    bound: float | None
    threshold: float | str | bool | None
    unit: str
    n: int
    needs_s: float | None
    checks: tuple[Finding, ...] = ()
    relation: str = ""  # of the finding that decided


@dataclass(frozen=True, slots=True)
class Release:
    """One build: what was deployed."""

    phase: str  # "phase-11.4", "worktree"
    commit: str | None  # 40 hex digits; None outside git
    sha256: str  # of the executable
    migrations: Mapping[str, str]  # file stem -> sha256, in the order of application


@dataclass(frozen=True, slots=True)
class Verdict:
    """The judgement of a stage, as it stands in `verdict.json`."""

    environment: str
    stage: str
    run: str
    started_at: str
    duration_s: float
    state: State
    rehearsal: bool
    release: Release | None  # None when the target does not say
    criteria: tuple[CriterionVerdict, ...]
    remarks: tuple[str, ...] = ()  # about the run as a whole, for people; they decide nothing


@dataclass(frozen=True, slots=True)
class Process:
    """A process by pid *and* birth (`process_identity.py`), so that a reused pid is never mistaken for it."""

    pid: int
    birth: str  # as `process_identity.birth` gives it
    created_s: float  # seconds since the epoch, by the clock as it was then: what its log says
    artifact: Path  # the file whose sha256 is the release's: the executable on the recorded command line


@dataclass(frozen=True, slots=True)
class LogLocation:
    """Where a log is: a file of this machine, or of another one that the system's ssh reaches."""

    path: str
    host: str | None = None  # as ssh takes it, "user@host"; None: this machine
    port: int | None = None  # None: what ssh is configured to take

    def __str__(self) -> str:
        if self.host is None:
            return self.path
        user, at, name = self.host.rpartition("@")
        name = f"[{name}]" if ":" in name else name
        return f"ssh://{user}{at}{name}{f':{self.port}' if self.port else ''}{self.path}"


@dataclass(frozen=True, slots=True)
class Names:
    """What a server that keeps the contract under names of its own calls things: ours -> theirs."""

    paths: Mapping[str, str] = field(default_factory=dict)  # "/health" -> "/healthz"
    fields: Mapping[str, str] = field(default_factory=dict)  # of JSON objects and query parameters
    metrics: Mapping[str, str] = field(default_factory=dict)  # of /metrics
    adapter: str = ""  # the text of an adapter (gaia_checks.contract.adapter), for what names cannot express


def alias(run: str, client_names: str) -> str:
    """Return what a run is called in the target: nothing that says what it is, but to who knows the run id. Pure."""
    return client_names.replace("{}", hashlib.sha256(run.encode()).hexdigest()[:12])


@dataclass(frozen=True, slots=True)
class Target:
    """A running server and every way of looking at it that we have. None: no such way.

    It travels between our own processes by pipe (`to_json`), never through a file or an argument list.
    """

    environment: str
    base_url: str  # "http://127.0.0.1:8711", no trailing slash
    run: str  # the run id; it stays on our side, the target only sees `key`
    instances: tuple[str, ...] = ()  # addresses of those behind base_url, a load balancer; empty: it is one server
    release: Release | None = None
    process: Process | None = None
    log: LogLocation | None = None
    names: Names = field(default_factory=Names)
    client_names: str = "client-{}"  # what the gate's keys and rules are called there
    trusted_proxies: str | None = None  # the server's setting, "" where it trusts none; None: unknown
    no_rules: str | None = None  # why the gate cannot create temporary rules; None: it can
    silent: str | None = None  # it accepts connections and answers none of the gate's requests; None: it answers
    admin_token: str | None = field(default=None, repr=False)
    database_url: str | None = field(default=None, repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)  # all that must not be written anywhere

    @property
    def key(self) -> str:
        """The API key of this run's requests; the names of all its keys and rules start with it."""
        return alias(self.run, self.client_names)

    @property
    def translated(self) -> bool:
        """Whether the server has names of its own: a translation neither carries nor adds every detail of a message."""
        return self.names != Names()

    @property
    def websocket_url(self) -> str:
        """`base_url` with the WebSocket scheme: `ws://127.0.0.1:8711`."""
        return "ws" + self.base_url.removeprefix("http")

    def to_json(self) -> dict[str, Any]:
        """Return a JSON object that `from_json` reads back. It contains secrets."""
        record = asdict(self)
        if self.process:
            record["process"]["artifact"] = str(self.process.artifact)
        return record

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> "Target":
        """Read what `to_json` wrote."""
        process = record["process"]
        return cls(
            **{
                **record,
                "release": Release(**record["release"]) if record["release"] else None,
                "process": Process(**{**process, "artifact": Path(process["artifact"])}) if process else None,
                "log": LogLocation(**record["log"]) if record["log"] else None,
                "names": Names(**record["names"]),
                "instances": tuple(record["instances"]),
                "secrets": tuple(record["secrets"]),
            }
        )
