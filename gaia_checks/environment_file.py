"""Environments: where a server runs and what it is given. The only module that reads `os.environ`.

[environment]
stage = "qa"                       # which criteria are judged: dev, qa or prod
database = "external"              # "embedded": gaia brings its own PostgreSQL (local only); "none": it needs none
host = "0.0.0.0"                   # where the server listens; the port is the variable PORT
base_url = "https://qa:8080"       # optional: gate a server that already runs there
log = "ssh://me@qa/var/log/x.log"  # optional: the server's log, where `gaia deploy` does not know it: a file of this
                                   # machine, or ssh://[user@]host[:port]/path, read by the system's own ssh
criteria = "../suites/criteria.toml"  # optional: criteria of your own; their tests are test_*.py beside that file
client_names = "client-{}"         # optional: what a gate's keys and rules are called; {} becomes 12 hex digits
rehearsal_host = "local"           # where a rehearsal copy runs; only "local", this machine, is built
required = ["DATABASE_URL", ...]   # variables that must be set to deploy
remote = "git@host:gaia.git"       # optional: the git repository whose deployment tags are followed
alerts = "GAIA_ALERTS"             # optional: the variable with the Apprise URLs to notify, apart by spaces
promotion = "advisory"             # optional: a tag without a valid promotion is deployed all the same, with a warning;
                                   # "required" (the default): refused, after dev

[environment.defaults]             # values of variables that are no secrets
PORT = "8080"

[server]                           # optional: about a server that keeps another contract than docs/contract.md
handover = false                   # it binds PORT itself: stop and start; true (the default): it takes LISTEN_FDS
paths = ["/healthz"]               # what must answer 200, in place of health, config API and WebSocket
ready_s = 30                       # how long it may take until it is ready
artifact = "https://build/{phase}" # optional: where the executable of a tag is; the tagged commit has its
                                   # sha256 in build/gaia_server.sha256. {phase}, {commit}, {sha256}; a path or a URL

[promotion]                        # optional
signing_key = "/etc/gaia/qa_key"   # the SSH key of this account's statements; GAIA_SIGNING_KEY comes first
valid_for = "7d"                   # how old a verdict may be that lets a release in: days (d) or hours (h)

[migrations]                       # optional
allow = ["ban-drop-column"]        # squawk's serious findings that do not stop a deployment

[contract.paths]                   # optional: the server's own names for what docs/contract.md names, ours = theirs;
"/health" = "/healthz"             # what is below a path moves with it
[contract.fields]                  # of JSON objects, both ways and at any depth, and of query parameters
rule_name = "name"
[contract.metrics]                 # of /metrics
gaia_database_pool_max = "pool_max"
[contract]                         # for what names cannot express: Python (gaia_checks.contract.adapter)
adapter = "adapters/ours.py"

[looks.log]                        # optional: parameters of looks, in place of criteria.toml's
window_s = 60
"""

import math
import os
import re
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gaia_checks import contract
from gaia_checks.did_you_mean import guess
from gaia_checks.errors import EnvironmentFileError, MissingVariable
from gaia_checks.model import STAGES, LogLocation, Names
from gaia_checks.redaction import SECRET_NAMES, contains_password, redact, secrets_among, unfit

ROOT = Path(__file__).resolve().parent.parent
"""The folder of gaia-checks itself: its suites, locustfiles and server."""

MARKER = "gaia.ini"
"""The file by which `gaia init` marks the folder of another project; pytest reads the gate's options from it."""


def _project() -> Path:
    try:
        here = Path.cwd()
    except FileNotFoundError:  # the current folder was removed
        return ROOT
    above = [here, *here.parents]
    return ROOT if ROOT in above else next((folder for folder in above if (folder / MARKER).is_file()), ROOT)


PROJECT = _project()
"""Where `environments/`, `migrations/`, `reports/` and git are: the marked folder around the current one, else ROOT."""

_BOOLEAN_NAMES = {
    "RATE_LIMIT_ENABLED",
    "REPUTATION_ENABLED",
    "CLAUDE_CONFIRM_AI_ENABLED",
    "ENABLE_PATTERN_LEARNING",
    "ENABLE_AI_FALLBACK",
}

SERVER_NAMES = (
    (SECRET_NAMES - {"PGPASSWORD"})  # libpq's own, like those of `of_libpq`
    | _BOOLEAN_NAMES
    | {"PORT", "RATE_LIMIT_ON_DB_DOWN", "TRUSTED_PROXIES", "RETENTION_DAYS"}
)
"""Every variable of docs/contract.md: each is passed to the server, and none beside them."""

_KEYS = {
    *("stage", "database", "host", "base_url", "log", "rehearsal_host", "required", "remote", "alerts", "defaults"),
    *("client_names", "promotion", "criteria"),
}
_BOOLEANS = ("true", "false")
_LOG_URL = re.compile(r"ssh://((?:\w[\w.-]*@)?(?:\w[\w.-]*|\[[0-9a-fA-F:]+\]))(?::(\d{1,5}))?(/[^\0\n]*[^/\0\n])")


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """What the environment file says about the server's ways. Without a word: it keeps docs/contract.md."""

    handover: bool = True  # takes LISTEN_FDS; else it binds PORT itself
    paths: tuple[str, ...] = ()  # each must answer 200; empty: the contract's own looks
    ready_s: float = 30.0  # how long it may take until it is ready
    artifact: str | None = None  # template of a path or URL; None: the tagged commit has the executable


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
    home: Path  # releases, state, sockets: GAIA_HOME
    log_dir: Path  # server logs and the ledger: GAIA_LOG_DIR
    reports: Path  # evidence: GAIA_REPORTS
    values: Mapping[str, str] = field(repr=False)  # the contract's variables: defaults, then os.environ
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


def url_of(host: str, port: int) -> str:
    """Return how this machine reaches a server that listens on `host` and `port`."""
    reachable = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - compared, not bound
    return f"http://[{reachable}]:{port}" if ":" in reachable else f"http://{reachable}:{port}"


def load(name: str, *, variables: Mapping[str, str] = os.environ) -> Environment:
    """Read `environments/<name>.toml`, or the file itself when `name` is a path to a .toml.

    Raises EnvironmentFileError for anything unknown, missing or of the wrong type.
    """
    path = Path(name) if name.endswith(".toml") else PROJECT / "environments" / f"{name}.toml"
    document = _parse(name, path)
    where = path.name
    _known(where, "", document, {"environment", "server", "promotion", "migrations", "contract", "looks"})
    table = _typed(where, document, "environment", dict, "[environment]", "a table")
    _known(where, "environment.", table, _KEYS)
    stage = _choice(where, table, "stage", STAGES)
    database = _choice(where, table, "database", ("embedded", "external", "none"))
    host = _typed(where, table, "host", str, "environment.host", 'an address, e.g. "127.0.0.1"')
    stem = path.stem
    here = PROJECT / ".gaia" if database == "embedded" else None
    home = Path(variables.get("GAIA_HOME") or here or "/var/lib/gaia")
    return Environment(
        name=stem,
        path=path.resolve(),
        stage=stage,
        database=database,
        host=host,
        base_url=base_url(where, table),
        required=_required(where, table),
        defaults=(defaults := _defaults(where, table)),
        server=_server(where, document),
        allowed=_allowed(where, document),
        looks=_looks(where, document.get("looks", {})),
        home=home.absolute(),
        log_dir=Path(variables.get("GAIA_LOG_DIR") or (home / "log" if here else "/var/log/gaia")).absolute(),
        reports=reports_folder(variables),
        values=_values(stem, defaults, variables),
        remote=_remote(where, table),
        alerts=(alerts := _alerts(where, table)),
        alert_urls=tuple(variables.get(alerts or "", "").split()),
        log=_log(where, table),
        rehearsal_host=_rehearsal_host(where, table),
        names=contract.read(where, document, path.parent),
        client_names=_client_names(where, table),
        criteria=_criteria(where, table, path.parent),
        promotion=_choice(where, {"promotion": "required", **table}, "promotion", ("required", "advisory")),
        signing_key=_signing_key(where, document, variables),
        valid_for_s=_valid_for_s(where, document),
    )


def reports_folder(variables: Mapping[str, str] = os.environ) -> Path:
    """Return where the evidence of every environment is."""
    return Path(variables.get("GAIA_REPORTS") or PROJECT / "reports").absolute()


def serve_token(variables: Mapping[str, str] = os.environ) -> str | None:
    """Return the token that `gaia serve` demands from its readers, None where none is set."""
    return variables.get("GAIA_SERVE_TOKEN") or None


def without_secrets(text: str) -> str:
    """Return `text` without the secrets among this process's own variables."""
    return redact(text, os.environ)


def inherited(**changes: str) -> dict[str, str]:
    """Return this process's own variables with `changes`, for a program that needs PATH, HOME and the like."""
    return {**os.environ, **changes}


def surroundings(variables: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return what a process that we start gets beside its own variables: programs, home, language, certificates.

    The folder of the running Python comes first in PATH, so that `#!/usr/bin/env python3` finds this one.
    """
    path = variables.get("PATH") or os.defpath
    found = {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{path}"}
    return found | {
        name: variables[name] for name in ("HOME", "LANG", "SSL_CERT_FILE", "SSL_CERT_DIR") if variables.get(name)
    }


def of_libpq(variables: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return libpq's own variables: whoever connects for us must reach the same server, with the same service file."""
    return {name: value for name, value in variables.items() if name.startswith("PG")}


def _parse(name: str, path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        known = sorted(file.stem for file in (PROJECT / "environments").glob("*.toml"))
        why = guess(name, known) or f" ({path} does not exist)"
        raise EnvironmentFileError(f"{name}: no such environment{why}; known: {', '.join(known)}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise EnvironmentFileError(f"{path}: cannot be read: {error}") from error
    except tomllib.TOMLDecodeError as error:
        raise EnvironmentFileError(f"{path.name}: not valid TOML: {error}") from error


def _known(where: str, prefix: str, table: Mapping[str, Any], known: set[str]) -> None:
    for key in table:
        if key not in known:
            raise EnvironmentFileError(f"{where}: {prefix}{key}: unknown key; known here: {', '.join(sorted(known))}")


def _typed(where: str, table: Mapping[str, Any], key: str, kind: type, label: str, example: str) -> Any:
    if key not in table:
        raise EnvironmentFileError(f"{where}: {label}: missing; give {example}")
    value = table[key]
    if not isinstance(value, kind):
        raise EnvironmentFileError(f"{where}: {label}: {value!r} is not {example}")
    return value


def _choice(where: str, table: Mapping[str, Any], key: str, choices: tuple[str, ...]) -> str:
    value: str = _typed(where, table, key, str, f"environment.{key}", f"one of {', '.join(choices)}")
    if value not in choices:
        raise EnvironmentFileError(f"{where}: environment.{key}: {value!r} is not one of {', '.join(choices)}")
    return value


def base_url(where: str, table: Mapping[str, Any]) -> str | None:
    """Return the address in the table `environment` of the file `where`. Raises EnvironmentFileError."""
    url = table.get("base_url")
    if url is None:
        return None
    if "@" in str(url):  # and it is not quoted: what stands before the @ may be a password
        raise EnvironmentFileError(
            f"{where}: environment.base_url: no user or password belongs there; leave out what is before the @, "
            "and export ADMIN_TOKEN"
        )
    if not isinstance(url, str) or not re.match(r"https?://[^/]", url):
        raise EnvironmentFileError(
            f'{where}: environment.base_url: {url!r} is no URL; write e.g. "http://127.0.0.1:8080"'
        )
    return url.rstrip("/")


def _log(where: str, table: Mapping[str, Any]) -> LogLocation | None:
    log = table.get("log")
    if log is None:
        return None
    if isinstance(log, str) and re.fullmatch(r"/[^\0\n]*[^/\0\n]", log):
        return LogLocation(log)
    if not isinstance(log, str) or not (found := _LOG_URL.fullmatch(log)):  # not quoted: it may contain a password
        raise EnvironmentFileError(
            f"{where}: environment.log: neither a file nor ssh://[user@]host[:port]/file without a password; write "
            'e.g. "ssh://me@qa/var/log/gaia/qa/server.log" (keys, an agent and ~/.ssh/config are ssh\'s own)'
        )
    host, port, path = found.groups()
    return LogLocation(path, host.replace("[", "").replace("]", ""), int(port) if port else None)


def _rehearsal_host(where: str, table: Mapping[str, Any]) -> str:
    host = table.get("rehearsal_host", "local")
    if host != "local":
        raise EnvironmentFileError(
            f'{where}: environment.rehearsal_host: only "local" is built: a copy runs on the machine that gates'
        )
    return str(host)


def _remote(where: str, table: Mapping[str, Any]) -> str | None:
    remote = table.get("remote")
    if remote is not None and (not isinstance(remote, str) or not remote or contains_password(remote)):
        raise EnvironmentFileError(
            f"{where}: environment.remote: give a git URL or path without a password or token; "
            "git's credential helper has that"
        )
    return remote


def _alerts(where: str, table: Mapping[str, Any]) -> str | None:
    name = table.get("alerts")
    if name is not None and (not isinstance(name, str) or not re.fullmatch(r"[A-Z][A-Z0-9_]*", name)):
        raise EnvironmentFileError(
            f"{where}: environment.alerts: not the name of a variable; the Apprise URLs contain secrets, so they stand "
            'in a variable that is named here, e.g. "GAIA_ALERTS"'
        )
    return name


def _required(where: str, table: Mapping[str, Any]) -> tuple[str, ...]:
    required = table.get("required", [])
    if not isinstance(required, list) or not all(name in sorted(SERVER_NAMES) for name in required):
        raise EnvironmentFileError(
            f"{where}: environment.required: {required!r} is not a list of variables; "
            f"choose from {', '.join(sorted(SERVER_NAMES))}"
        )
    return tuple(required)


def _defaults(where: str, table: Mapping[str, Any]) -> dict[str, str]:
    defaults = table.get("defaults", {})
    if not isinstance(defaults, dict):
        raise EnvironmentFileError(f"{where}: environment.defaults: {defaults!r} is not a table")
    for name, value in defaults.items():
        label = f"{where}: environment.defaults.{name}"
        if name in SECRET_NAMES:
            raise EnvironmentFileError(f"{label}: a secret does not belong in a file; list it under `required`")
        if name not in SERVER_NAMES:
            raise EnvironmentFileError(f"{label}: unknown variable; known: {', '.join(sorted(SERVER_NAMES))}")
        if not isinstance(value, str):
            written = str(value).lower() if isinstance(value, bool) else value  # as TOML has it
            raise EnvironmentFileError(f'{label}: {written} is not a text; write it in quotes: {name} = "{written}"')
    return defaults


def _server(where: str, document: Mapping[str, Any]) -> ServerSettings:
    table = document.get("server", {})
    if not isinstance(table, dict):
        raise EnvironmentFileError(f"{where}: server: {table!r} is not a table")
    _known(where, "server.", table, {"handover", "paths", "ready_s", "artifact"})
    if not isinstance(handover := table.get("handover", True), bool):
        raise EnvironmentFileError(f"{where}: server.handover: {handover!r} is not true or false")
    paths = _texts(where, table, "server", "paths", '"/healthz"')
    if not all(path.startswith("/") for path in paths):
        raise EnvironmentFileError(f'{where}: server.paths: each begins with a slash, e.g. "/healthz"')
    artifact = table.get("artifact")
    if artifact is not None and not (isinstance(artifact, str) and re.match(r"/|https?://[^/]", artifact)):
        raise EnvironmentFileError(
            f"{where}: server.artifact: {artifact!r} is neither an absolute path nor a URL; "
            'write e.g. "/srv/builds/{sha256}"'
        )
    ready_s = table.get("ready_s", 30.0)
    if not isinstance(ready_s, int | float) or isinstance(ready_s, bool) or not 0 < ready_s < math.inf:
        raise EnvironmentFileError(f"{where}: server.ready_s: {ready_s!r} is not above 0; give seconds, e.g. 30")
    return ServerSettings(handover, paths, float(ready_s), artifact)


def _client_names(where: str, table: Mapping[str, Any]) -> str:
    names = table.get("client_names", "client-{}")
    if not isinstance(names, str) or not re.fullmatch(r"[\w.:-]*\{\}[\w.:-]*", names, re.ASCII):
        raise EnvironmentFileError(
            f'{where}: environment.client_names: {names!r} is no name with one {{}} in it, as "tenant-{{}}"'
        )
    return names


def _criteria(where: str, table: Mapping[str, Any], folder: Path) -> Path | None:
    file = table.get("criteria")
    if file is not None and (not isinstance(file, str) or not file.endswith(".toml")):
        raise EnvironmentFileError(
            f'{where}: environment.criteria: {file!r} is no .toml file; write e.g. "../suites/criteria.toml"'
        )
    return (folder / file).resolve() if file else None


def _promotion(where: str, document: Mapping[str, Any]) -> Mapping[str, Any]:
    table = document.get("promotion", {})
    if not isinstance(table, dict):
        raise EnvironmentFileError(f"{where}: promotion: {table!r} is not a table")
    _known(where, "promotion.", table, {"signing_key", "valid_for"})
    return table


def _signing_key(where: str, document: Mapping[str, Any], variables: Mapping[str, str]) -> Path | None:
    key = variables.get("GAIA_SIGNING_KEY") or _promotion(where, document).get("signing_key")
    if key is not None and not isinstance(key, str):
        raise EnvironmentFileError(f"{where}: promotion.signing_key: {key!r} is not the path of an SSH key")
    return Path(key).expanduser().absolute() if key else None


def _valid_for_s(where: str, document: Mapping[str, Any]) -> float:
    text = _promotion(where, document).get("valid_for", "7d")
    found = re.fullmatch(r"([1-9][0-9]{0,3})([dh])", text) if isinstance(text, str) else None
    if found is None:
        raise EnvironmentFileError(
            f'{where}: promotion.valid_for: {text!r} is no number of days or hours, as "7d" or "12h"'
        )
    return int(found[1]) * (86_400.0 if found[2] == "d" else 3600.0)


def _allowed(where: str, document: Mapping[str, Any]) -> frozenset[str]:
    table = document.get("migrations", {})
    if not isinstance(table, dict):
        raise EnvironmentFileError(f"{where}: migrations: {table!r} is not a table")
    _known(where, "migrations.", table, {"allow"})
    return frozenset(_texts(where, table, "migrations", "allow", '"ban-drop-column"'))


def _texts(where: str, table: Mapping[str, Any], section: str, key: str, example: str) -> tuple[str, ...]:
    found = table.get(key, [])
    if not isinstance(found, list) or not all(isinstance(text, str) for text in found):
        raise EnvironmentFileError(
            f"{where}: {section}.{key}: {found!r} is not a list of texts; write e.g. [{example}]"
        )
    return tuple(found)


def _looks(where: str, looks: Any) -> dict[str, dict[str, float]]:
    if not isinstance(looks, dict) or not all(isinstance(table, dict) for table in looks.values()):
        raise EnvironmentFileError(f"{where}: looks: give one table per look, e.g. [looks.load] window_s = 60")
    for look, table in looks.items():
        for key, value in table.items():
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if not number or not value > 0 or value == math.inf:
                wrong = "is not finite" if value == math.inf else "is not above 0"
                raise EnvironmentFileError(f"{where}: looks.{look}.{key}: {value!r} {wrong}; give a number, e.g. 60")
    return looks


def _values(name: str, defaults: Mapping[str, str], variables: Mapping[str, str]) -> dict[str, str]:
    values = {**defaults, **{key: variables[key] for key in SERVER_NAMES | SECRET_NAMES if variables.get(key)}}
    for key in sorted(SECRET_NAMES & values.keys()):
        if why := unfit(key, values[key]):
            raise EnvironmentFileError(f"{name}: {key}: {why}")
    port = values.setdefault("PORT", "8080")
    if not (port.isascii() and port.isdecimal()) or not 0 < int(port) < 65536:
        raise EnvironmentFileError(f"{name}: PORT: {port!r} is not a port; give a number from 1 to 65535, e.g. 8080")
    for key in sorted(_BOOLEAN_NAMES):
        if key in values and values[key] not in _BOOLEANS:
            raise EnvironmentFileError(f"{name}: {key}: {values[key]!r} is not true or false")
    return values
