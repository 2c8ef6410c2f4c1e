"""Read an environment file, strictly.

[environment]
stage = "qa"                       # which criteria are judged: dev, qa or prod
database = "external"              # "embedded": gaia brings its own PostgreSQL (local only); "none": it needs none
host = "0.0.0.0"                   # where the server listens; the port is the variable PORT
base_url = "https://qa:8080"       # optional: gate a server that already runs there
instances = ["http://a:8080", "http://b:8080"]  # optional: what base_url, a load balancer, distributes to; each is
                                   # compared with the others, and limits are judged across them
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

[prove]                            # optional: how `gaia prove` seeds faults (docs/how-to/prove.md)
faults = "../faults"               # the folder of the catalogue
apply = "git apply {patch}"        # run in a copy of the project; this is the default
build = "make build"               # what it leaves as build/gaia_server is deployed

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

[no_regression]                    # optional: how much worse than the previous release a release may be
p99_ratio = 1.25                   # criteria.toml names each limit; without any, both are compared and not judged

[looks.log]                        # optional: parameters of looks, in place of criteria.toml's
window_s = 60

[looks.load]                       # and what sends the load (docs/load.md); each of these is optional
engine = "precise"                 # "locust" (the default) runs tasks as well, "precise" sends a mix at higher rates
processes = 2                      # of this machine
locustfile = "../locustfiles/ours.py"  # a mix of your own
workers = 4                        # in place of processes: so many join from other machines (`gaia load worker`)
master = "10.0.0.5:5557"           # the address of this machine where they join; 127.0.0.1:5557 without it
join_within_s = 60                 # how long the gate waits for them
"""

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gaia_checks import contract
from gaia_checks.did_you_mean import guess
from gaia_checks.environment import file_entries, load_entries
from gaia_checks.environment.environment import Environment
from gaia_checks.environment.project import PROJECT
from gaia_checks.errors import EnvironmentFileError
from gaia_checks.model import STAGES


def environment_names() -> list[str]:
    """Return the names of the project's environments."""
    return sorted(path.stem for path in (PROJECT / "environments").glob("*.toml"))


def load(name: str, *, variables: Mapping[str, str] = os.environ) -> Environment:
    """Read `environments/<name>.toml`, or the file itself when `name` is a path to a .toml.

    Raises EnvironmentFileError for anything unknown, missing or of the wrong type.
    """
    path = Path(name) if name.endswith(".toml") else PROJECT / "environments" / f"{name}.toml"
    document = _parse(name, path)
    where = path.name
    file_entries.refuse_unknown(
        where,
        "",
        document,
        {"environment", "server", "promotion", "migrations", "contract", "looks", "no_regression", "prove"},
    )
    table = file_entries.typed(where, document, "environment", dict, "[environment]", "a table")
    file_entries.refuse_unknown(where, "environment.", table, file_entries.KEYS)
    stage = file_entries.choice(where, table, "stage", STAGES)
    database = file_entries.choice(where, table, "database", ("embedded", "external", "none"))
    host = file_entries.typed(where, table, "host", str, "environment.host", 'an address, e.g. "127.0.0.1"')
    stem = path.stem
    here = PROJECT / ".gaia" if database == "embedded" else None
    home = Path(variables.get("GAIA_HOME") or here or "/var/lib/gaia")
    return Environment(
        name=stem,
        path=path.resolve(),
        stage=stage,
        database=database,
        host=host,
        base_url=file_entries.base_url(where, table),
        instances=file_entries.instances(where, table),
        required=file_entries.required(where, table),
        defaults=(defaults := file_entries.defaults(where, table)),
        server=file_entries.server(where, document),
        allowed=file_entries.allowed(where, document),
        load=load_entries.settings(where, document, path.parent),
        looks=file_entries.looks(where, load_entries.other_looks(document.get("looks", {}))),
        no_regression=file_entries.no_regression(where, document.get("no_regression", {})),
        home=home.absolute(),
        log_dir=Path(variables.get("GAIA_LOG_DIR") or (home / "log" if here else "/var/log/gaia")).absolute(),
        reports=reports_folder(variables),
        values=file_entries.values(stem, defaults, variables),
        remote=file_entries.remote(where, table),
        alerts=(alerts := file_entries.alerts(where, table)),
        alert_urls=tuple(variables.get(alerts or "", "").split()),
        log=file_entries.log(where, table),
        rehearsal_host=file_entries.rehearsal_host(where, table),
        names=contract.read(where, document, path.parent),
        client_names=file_entries.client_names(where, table),
        criteria=file_entries.criteria(where, table, path.parent),
        promotion=file_entries.choice(where, {"promotion": "required", **table}, "promotion", ("required", "advisory")),
        signing_key=file_entries.signing_key(where, document, variables),
        valid_for_s=file_entries.valid_for_s(where, document),
        prove=file_entries.prove(where, document, path.parent),
    )


def reports_folder(variables: Mapping[str, str] = os.environ) -> Path:
    """Return where the evidence of every environment is."""
    return Path(variables.get("GAIA_REPORTS") or PROJECT / "reports").absolute()


def _parse(name: str, path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        why = guess(name, environment_names()) or f" ({path} does not exist)"
        known = ", ".join(environment_names()) or "none; write one by gaia init URL, in the folder of your project"
        raise EnvironmentFileError(f"{name}: no such environment{why}; known: {known}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise EnvironmentFileError(f"{path}: cannot be read: {error}") from error
    except tomllib.TOMLDecodeError as error:
        raise EnvironmentFileError(f"{path.name}: not valid TOML: {error}") from error
