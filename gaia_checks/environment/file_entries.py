"""The entries of an environment file: each is read, checked and refused in one line by a function of its own.

`where` is the name of the file, for the message. All raise EnvironmentFileError.
"""

import math
import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gaia_checks.environment.environment import ProveSettings, ServerSettings
from gaia_checks.errors import EnvironmentFileError
from gaia_checks.model import LogLocation
from gaia_checks.redaction import SECRET_NAMES, contains_password, unfit

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
    | {"PORT", "RATE_LIMIT_ON_DB_DOWN", "TRUSTED_PROXIES", "RETENTION_DAYS", "RETENTION_INTERVAL_S"}
)
"""Every variable of docs/contract.md: each is passed to the server, and none beside them."""

KEYS = {
    *("stage", "database", "host", "base_url", "log", "rehearsal_host", "required", "remote", "alerts", "defaults"),
    *("client_names", "promotion", "criteria", "instances"),
}
"""The keys of the table `environment`."""

MOST_INSTANCES = 12
"""The gate sends some requests to each, and keeps a WebSocket to each."""

_BOOLEANS = ("true", "false")
_LOG_URL = re.compile(r"ssh://((?:\w[\w.-]*@)?(?:\w[\w.-]*|\[[0-9a-fA-F:]+\]))(?::(\d{1,5}))?(/[^\0\n]*[^/\0\n])")


def refuse_unknown(where: str, prefix: str, table: Mapping[str, Any], known: set[str]) -> None:
    """Refuse a table with a key that is not known. Raises EnvironmentFileError, as everything here."""
    for key in table:
        if key not in known:
            raise EnvironmentFileError(f"{where}: {prefix}{key}: unknown key; known here: {', '.join(sorted(known))}")


def typed(where: str, table: Mapping[str, Any], key: str, kind: type, label: str, example: str) -> Any:
    """Return what `table` has under `key`, an object of `kind`; `label` and `example` are for the message."""
    if key not in table:
        raise EnvironmentFileError(f"{where}: {label}: missing; give {example}")
    value = table[key]
    if not isinstance(value, kind):
        raise EnvironmentFileError(f"{where}: {label}: {value!r} is not {example}")
    return value


def choice(where: str, table: Mapping[str, Any], key: str, choices: tuple[str, ...]) -> str:
    """Return what `table` has under `key`, one of `choices`."""
    value: str = typed(where, table, key, str, f"environment.{key}", f"one of {', '.join(choices)}")
    if value not in choices:
        raise EnvironmentFileError(f"{where}: environment.{key}: {value!r} is not one of {', '.join(choices)}")
    return value


def base_url(where: str, table: Mapping[str, Any]) -> str | None:
    """Return the address of a server that already runs, if the file has one."""
    url = table.get("base_url")
    return None if url is None else _address(f"{where}: environment.base_url", url)


def instances(where: str, table: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the addresses of the instances behind base_url, if the file names them."""
    label, urls = f"{where}: environment.instances", table.get("instances", [])
    if not isinstance(urls, list) or len(urls) not in (0, *range(2, MOST_INSTANCES + 1)):
        raise EnvironmentFileError(
            f'{label}: not a list of 2 to {MOST_INSTANCES} URLs; write e.g. ["http://a:8080", "http://b:8080"]'
        )
    found = tuple(_address(label, url) for url in urls)
    if twice := [url for url in found if found.count(url) > 1]:
        raise EnvironmentFileError(f"{label}: {twice[0]} is there twice; name each instance once")
    if found and "base_url" not in table:
        raise EnvironmentFileError(f"{label}: set base_url as well: the address of the load balancer before them")
    return found


def _address(label: str, url: Any) -> str:
    if "@" in str(url):  # and it is not quoted: what stands before the @ may be a password
        raise EnvironmentFileError(
            f"{label}: no user or password belongs there; leave out what is before the @, and export ADMIN_TOKEN"
        )
    if not isinstance(url, str) or not re.match(r"https?://[^/]", url):
        raise EnvironmentFileError(f'{label}: {url!r} is no URL; write e.g. "http://127.0.0.1:8080"')
    return url.rstrip("/")


def log(where: str, table: Mapping[str, Any]) -> LogLocation | None:
    """Return where the log of the server is, if the file says it."""
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


def rehearsal_host(where: str, table: Mapping[str, Any]) -> str:
    """Return where a rehearsal copy runs."""
    host = table.get("rehearsal_host", "local")
    if host != "local":
        raise EnvironmentFileError(
            f'{where}: environment.rehearsal_host: only "local" is built: a copy runs on the machine that gates'
        )
    return str(host)


def remote(where: str, table: Mapping[str, Any]) -> str | None:
    """Return the git repository whose deployment tags are followed, if any."""
    remote = table.get("remote")
    if remote is not None and (not isinstance(remote, str) or not remote or contains_password(remote)):
        raise EnvironmentFileError(
            f"{where}: environment.remote: give a git URL or path without a password or token; "
            "git's credential helper has that"
        )
    return remote


def alerts(where: str, table: Mapping[str, Any]) -> str | None:
    """Return the name of the variable with the Apprise URLs, if any."""
    name = table.get("alerts")
    if name is not None and (not isinstance(name, str) or not re.fullmatch(r"[A-Z][A-Z0-9_]*", name)):
        raise EnvironmentFileError(
            f"{where}: environment.alerts: not the name of a variable; the Apprise URLs contain secrets, so they stand "
            'in a variable that is named here, e.g. "GAIA_ALERTS"'
        )
    return name


def required(where: str, table: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names of the variables that must be set to deploy."""
    required = table.get("required", [])
    if not isinstance(required, list) or not all(name in sorted(SERVER_NAMES) for name in required):
        raise EnvironmentFileError(
            f"{where}: environment.required: {required!r} is not a list of variables; "
            f"choose from {', '.join(sorted(SERVER_NAMES))}"
        )
    return tuple(required)


def defaults(where: str, table: Mapping[str, Any]) -> dict[str, str]:
    """Return the values of variables that are no secrets."""
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


def server(where: str, document: Mapping[str, Any]) -> ServerSettings:
    """Return the table `server`: the server's ways."""
    table = document.get("server", {})
    if not isinstance(table, dict):
        raise EnvironmentFileError(f"{where}: server: {table!r} is not a table")
    refuse_unknown(where, "server.", table, {"handover", "paths", "ready_s", "artifact"})
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


def client_names(where: str, table: Mapping[str, Any]) -> str:
    """Return what a gate's keys and rules are called."""
    names = table.get("client_names", "client-{}")
    if not isinstance(names, str) or not re.fullmatch(r"[\w.:-]*\{\}[\w.:-]*", names, re.ASCII):
        raise EnvironmentFileError(
            f'{where}: environment.client_names: {names!r} is no name with one {{}} in it, as "tenant-{{}}"'
        )
    return names


def criteria(where: str, table: Mapping[str, Any], folder: Path) -> Path | None:
    """Return the file with the user's own criteria, if any; it is relative to `folder`."""
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
    refuse_unknown(where, "promotion.", table, {"signing_key", "valid_for"})
    return table


def signing_key(where: str, document: Mapping[str, Any], variables: Mapping[str, str]) -> Path | None:
    """Return the SSH key of this account's statements, if any."""
    key = variables.get("GAIA_SIGNING_KEY") or _promotion(where, document).get("signing_key")
    if key is not None and not isinstance(key, str):
        raise EnvironmentFileError(f"{where}: promotion.signing_key: {key!r} is not the path of an SSH key")
    return Path(key).expanduser().absolute() if key else None


def valid_for_s(where: str, document: Mapping[str, Any]) -> float:
    """Return in seconds how old a verdict may be that lets a release in."""
    text = _promotion(where, document).get("valid_for", "7d")
    found = re.fullmatch(r"([1-9][0-9]{0,3})([dh])", text) if isinstance(text, str) else None
    if found is None:
        raise EnvironmentFileError(
            f'{where}: promotion.valid_for: {text!r} is no number of days or hours, as "7d" or "12h"'
        )
    return int(found[1]) * (86_400.0 if found[2] == "d" else 3600.0)


def allowed(where: str, document: Mapping[str, Any]) -> frozenset[str]:
    """Return squawk's rules whose findings stop nothing."""
    table = document.get("migrations", {})
    if not isinstance(table, dict):
        raise EnvironmentFileError(f"{where}: migrations: {table!r} is not a table")
    refuse_unknown(where, "migrations.", table, {"allow"})
    return frozenset(_texts(where, table, "migrations", "allow", '"ban-drop-column"'))


def prove(where: str, document: Mapping[str, Any], folder: Path) -> ProveSettings | None:
    """Return how faults are seeded into the project's server, if the file says it; paths are relative to `folder`."""
    table = document.get("prove")
    if table is None:
        return None
    if not isinstance(table, dict):
        raise EnvironmentFileError(f"{where}: prove: {table!r} is not a table")
    refuse_unknown(where, "prove.", table, {"faults", "apply", "build"})
    faults = typed(where, table, "faults", str, "prove.faults", 'a folder, e.g. "../faults"')
    build = typed(where, table, "build", str, "prove.build", 'a command, e.g. "make build"')
    apply = typed(where, {"apply": "git apply {patch}", **table}, "apply", str, "prove.apply", "a command")
    if "{patch}" not in apply:
        raise EnvironmentFileError(f'{where}: prove.apply: no {{patch}} in {apply!r}; write e.g. "git apply {{patch}}"')
    for name, command in (("apply", apply), ("build", build)):
        try:
            words = shlex.split(command)
        except ValueError as error:
            raise EnvironmentFileError(f"{where}: prove.{name}: {command!r}: {error}") from error
        if not words:
            raise EnvironmentFileError(f'{where}: prove.{name}: an empty command; give one, e.g. "make build"')
    return ProveSettings((folder / faults).resolve(), apply, build)


def _texts(where: str, table: Mapping[str, Any], section: str, key: str, example: str) -> tuple[str, ...]:
    found = table.get(key, [])
    if not isinstance(found, list) or not all(isinstance(text, str) for text in found):
        raise EnvironmentFileError(
            f"{where}: {section}.{key}: {found!r} is not a list of texts; write e.g. [{example}]"
        )
    return tuple(found)


def looks(where: str, looks: Any) -> dict[str, dict[str, float]]:
    """Return the parameters of looks: look -> parameter -> value."""
    if not isinstance(looks, dict) or not all(isinstance(table, dict) for table in looks.values()):
        raise EnvironmentFileError(f"{where}: looks: give one table per look, e.g. [looks.load] window_s = 60")
    for look, table in looks.items():
        for key, value in table.items():
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if not number or not value > 0 or value == math.inf:
                wrong = "is not finite" if value == math.inf else "is not above 0"
                raise EnvironmentFileError(f"{where}: looks.{look}.{key}: {value!r} {wrong}; give a number, e.g. 60")
    return looks


def no_regression(where: str, limits: Any) -> dict[str, float]:
    """Return how much worse than the previous release a release may be: limit -> value."""
    if not isinstance(limits, dict):
        raise EnvironmentFileError(f"{where}: no_regression: {limits!r} is not a table; write e.g. p99_ratio = 1.25")
    for key, value in limits.items():
        least = 1 if key.endswith("_ratio") else 0
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not least < value < math.inf:
            example = "1.25: a quarter more" if least else "0.01"
            raise EnvironmentFileError(
                f"{where}: no_regression.{key}: {value!r} is not a number above {least}; give e.g. {example}"
            )
    return limits


def values(name: str, defaults: Mapping[str, str], variables: Mapping[str, str]) -> dict[str, str]:
    """Return the contract's variables: `variables`, else `defaults`; the port always among them."""
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
