"""One environment: where its server runs, what that server is given, and whose secrets are hidden."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Self

from gaia_checks.errors import MissingVariable
from gaia_checks.model import STAGES, LogLocation, Names
from gaia_checks.redaction import redact, secrets_among


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """What the environment file says about the server's ways. Without a word: it keeps docs/contract.md."""

    handover: bool = True  # takes LISTEN_FDS; else it binds PORT itself
    paths: tuple[str, ...] = ()  # each must answer 200; empty: the contract's own looks
    ready_s: float = 30.0  # how long it may take until it is ready
    artifact: str | None = None  # template of a path or URL; None: the tagged commit has the executable


@dataclass(frozen=True, slots=True)
class ProveSettings:
    """How `gaia prove` seeds faults into the source of the project's server."""

    faults: Path  # the folder of the catalogue
    apply: str  # the command that applies {patch}
    build: str  # the command that makes build/gaia_server


MASTER_PORT = 5557
"""The port of locust's master, unless another is given: locust's own."""


@dataclass(frozen=True, slots=True)
class LoadSettings:
    """What sends the load of a gate. By default one process of this machine, with gaia-checks' own mix."""

    engine: str = "locust"  # or "precise"
    processes: int = 1  # of this machine
    locustfile: Path | None = None  # the user's own mix
    workers: int = 0  # processes that join from other machines; 0: this machine sends
    master: str = f"127.0.0.1:{MASTER_PORT}"  # where they join
    join_within_s: float = 60.0
    adapter: str | None = None  # with workers: the name of the adapter's file, which each of them needs

    @property
    def wait_s(self) -> float:
        """How long it may take until the load starts: all that send it together are waited for."""
        return self.join_within_s if self.workers or self.processes > 1 else 0.0

    @property
    def join_command(self) -> str:
        """The command that starts a worker."""
        own = f" --locustfile {self.locustfile.name}" if self.locustfile else ""
        adapter = f" --adapter {self.adapter}" if self.adapter else ""
        return f"gaia load worker --master {self.master.replace('0.0.0.0', 'HOST')}{own}{adapter}"  # noqa: S104 - not bound

    @property
    def generator(self) -> str:
        """What sends the load, in words."""
        if self.workers:
            return f"{self.workers} workers that join at {self.master} within {self.join_within_s:g} s"
        many = f"{self.processes} processes" if self.processes > 1 else "one process"
        return f"{many} of this machine"

    def on_one_machine(self) -> dict[str, Any]:
        """Return the entries of an environment file that sends the same load without workers."""
        own = {"locustfile": str(self.locustfile)} if self.locustfile else {}
        return {"engine": self.engine, "processes": self.processes, **own}

    def to_json(self) -> dict[str, Any]:
        """Return them as JSON."""
        return {**asdict(self), "locustfile": str(self.locustfile) if self.locustfile else None}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """Read what `to_json` wrote."""
        return cls(**{**document, "locustfile": Path(document["locustfile"]) if document["locustfile"] else None})


@dataclass(frozen=True)
class Environment:
    """One environment file together with the variables that were set when it was read."""

    name: str
    path: Path
    stage: str
    database: str  # "embedded", "external" or "none"
    host: str
    base_url: str | None
    required: tuple[str, ...]
    defaults: Mapping[str, str]
    server: ServerSettings
    allowed: frozenset[str]  # squawk's rules whose findings stop nothing
    looks: Mapping[str, Mapping[str, float]]  # look -> parameter -> value
    no_regression: Mapping[str, float]  # limit -> value, of how much worse a release may be than the previous one
    home: Path  # releases, state, sockets: GAIA_HOME
    log_dir: Path  # server logs and the ledger: GAIA_LOG_DIR
    reports: Path  # evidence: GAIA_REPORTS
    values: Mapping[str, str] = field(repr=False)  # the contract's variables: defaults, then os.environ
    instances: tuple[str, ...] = ()  # what the load balancer at base_url distributes to; empty: one server
    remote: str | None = None  # the git repository whose deployment tags are followed
    alerts: str | None = None  # the name of the variable with the Apprise URLs
    alert_urls: tuple[str, ...] = field(default=(), repr=False)  # its value; they contain tokens
    log: LogLocation | None = None  # the server's log, where the file says it; else that of what is deployed here
    rehearsal_host: str = "local"  # where a rehearsal copy runs
    names: Names = field(default_factory=Names)  # what the server calls what the contract names
    client_names: str = "client-{}"  # what a gate's keys and rules are called in the target
    criteria: Path | None = None  # criteria of the user's own; their tests are beside it
    promotion: str = "required"  # or "advisory": what a deployment lacks is a warning
    signing_key: Path | None = None  # of this account
    valid_for_s: float = 7 * 86_400.0  # how old a verdict may be that lets a release in
    load: LoadSettings = field(default_factory=LoadSettings)  # what sends the load of a gate
    prove: ProveSettings | None = None  # None: there is no catalogue of faults of its own

    @property
    def promoted(self) -> bool:
        """Whether its stage is entered by promotion."""
        return self.stage != STAGES[0]

    @property
    def port(self) -> int:
        """The port the server listens on."""
        return int(self.values["PORT"])

    @property
    def local_url(self) -> str:
        """How this machine reaches the server that is deployed here."""
        return url_of(self.host, self.port)

    @property
    def token_file(self) -> Path:
        """Where the admin token is that a deployment made, because ADMIN_TOKEN was not set."""
        return self.home / self.name / "admin_token"

    @property
    def admin_token(self) -> str | None:
        """The admin token of the server that is deployed here: ADMIN_TOKEN, else what a deployment made."""
        if given := self.values.get("ADMIN_TOKEN"):
            return given
        try:
            return self.token_file.read_text() or None
        except OSError:  # there is none, or it belongs to another account
            return None

    def variables(self) -> dict[str, str]:
        """Return the server's variables, every required one among them.

        Raises MissingVariable, naming all that are missing.
        """
        missing = [name for name in self.required if not self.values.get(name)]
        if missing:
            raise MissingVariable(
                f"{self.name}: {', '.join(missing)} not set; {self.path.name} requires "
                f"{'it' if len(missing) == 1 else 'them'}: export {missing[0]}=... and run again"
            )
        return self._all_values()

    @property
    def secrets(self) -> tuple[str, ...]:
        """The values that must not be written anywhere, longest first."""
        return tuple(sorted({*secrets_among(self._all_values()), *self.alert_urls}, key=len, reverse=True))

    def redact(self, text: str) -> str:
        """Return `text` without secrets: ours by value, anybody's by the shapes that give them away."""
        return redact(text, self._all_values(), self.alert_urls)

    def _all_values(self) -> dict[str, str]:
        token = self.admin_token
        return {**self.values, "ADMIN_TOKEN": token} if token else dict(self.values)


def is_loopback(address: str) -> bool:
    """Whether only this machine reaches an IP address; a name, `localhost` included, is none."""
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return False


def url_of(host: str, port: int) -> str:
    """Return how this machine reaches a server that listens on `host` and `port`."""
    reachable = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - compared, not bound
    return f"http://[{reachable}]:{port}" if ":" in reachable else f"http://{reachable}:{port}"
