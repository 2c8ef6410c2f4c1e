"""Imports point one way: what decides does not know who looks, what deploys does not know who judges."""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

GROUND = {
    "did_you_mean",
    "model",
    "errors",
    "environment",
    "jsonl",
    "files",
    "contract",
    "redaction",
    "process_identity",
    "printable",
}

ALLOWED = {
    "model": set(),
    "errors": set(),
    "jsonl": {"model", "errors", "files"},
    "files": set(),
    "contract": {"model", "errors"},
    "redaction": set(),
    "process_identity": set(),
    "printable": set(),
    "did_you_mean": set(),
    "environment": {"model", "errors", "contract", "redaction", "did_you_mean"},
    "target": GROUND,
    "probes": GROUND | {"target"},
    "recorders": GROUND | {"target"},
    "load": GROUND | {"judge"},
    "judge": {"model", "errors"},
    "report": GROUND | {"judge"},
    "deploy": GROUND | {"target"},
    "promotion": GROUND | {"report", "judge", "deploy"},
    "gate": GROUND | {"target", "probes", "recorders", "load", "judge", "report", "deploy", "promotion"},
    "locustfile": {"load"},
    "suite": {"errors", "model", "target", "gate"},
    "watch": GROUND | {"promotion", "gate", "deploy"},
    "serve": GROUND | {"promotion", "deploy"},
    "prove": GROUND | {"gate", "judge", "deploy", "promotion", "tables"},
    "logs": GROUND | {"recorders", "deploy"},
    "tables": {"printable"},
    "starter": {"environment", "errors"},
    "cli": GROUND
    | {"watch", "serve", "promotion", "gate", "deploy", "report", "load", "logs", "tables", "starter", "prove"},
}
"""Part of gaia_checks -> the parts it may import."""

LAYERS = {
    "gaia_checks.environment": (
        {"project", "process_variables"},
        {"environment"},
        {"file_entries", "load_entries", "load_master"},
        {"environment_file"},
    ),
    "gaia_checks.cli": (
        {"command_table", "parameters", "completion"},
        {"lazy_command"},
        {"deployments", "loads", "own_project", "promotions", "proofs", "services", "verdicts", "views"},
        {"program"},
        {"__main__"},
    ),
    "gaia_checks.deploy": (
        {"state"},
        {"postgres", "git"},
        {"migrations", "supervisor"},
        {"release"},
        {"reporting"},
        {"steps"},
        {"rollout", "prune", "migrate"},
        {"rehearsal"},
    ),
    "gaia_checks.promotion": (
        {"statements", "environment_row", "standing"},
        {"evidence_at_hand"},
        {"ledger_check", "record"},
        {"examination", "ledger_diagnosis"},
        {"promote", "admission", "verification", "overview"},
        {"sign_off", "checklist"},
    ),
    "gaia_checks.prove": (
        {"fault_catalogue", "interruptible"},
        {"fault_verdict", "short_windows", "workplace"},
        {"trial", "proof_results", "kill_matrix"},
        {"proof", "proof_document"},
        {"prove_command"},
    ),
    "gaia_checks.gate": ({"run"}, {"display"}, {"pytest_hooks"}),
    "gaia_checks.probes": (
        {
            "access",
            "api",
            "certificate",
            "dashboard",
            "database",
            "health",
            "identity",
            "monitoring",
            "process",
            "schema_objects",
            "websocket",
        },
        {"figures", "migrations", "rehearsal", "unannounced"},
        {"fresh_install"},
    ),
    "gaia_checks.recorders": (
        {"base"},
        {"limits", "log", "resources", "soak"},
        {"instances"},
        {"recorder_run"},
        {"__main__"},
    ),
    "gaia_checks.load": (
        {"http"},
        {"plan", "machine"},
        {"results"},
        {"engines", "views"},
        {"locust_plugin"},
        {"load_run"},
        {"worker_run"},
        {"__main__"},
    ),
    "gaia_server": (
        {"encoding", "guesses", "connection", "settings", "metrics", "analytics", "dashboard", "field_types"},
        {"problem", "logs", "limiting"},
        {"push", "auth"},
        {"storage"},
        {"app_state"},
        {"retention", "alerting", "pushing"},
        {"live"},
        {"http"},
        {"__main__"},
    ),
}
"""Package -> its rooms, from the ground up: each may import itself and the layers before its own."""

SOURCES = sorted((ROOT / "gaia_checks").rglob("*.py"))


def imported(path: Path) -> set[str]:
    """Return the dotted names of everything that a file imports, also inside functions."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def part(path: Path) -> str:
    """Return the part of gaia_checks that a file belongs to."""
    return path.relative_to(ROOT / "gaia_checks").parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_part_imports_only_what_it_may(path: Path) -> None:
    """The table above is the architecture; a new arrow is a decision, not an accident."""
    own = part(path)
    parts = {name.split(".")[1] for name in imported(path) if name.startswith("gaia_checks.")} - {own, "__version__"}
    assert parts <= ALLOWED.get(own, set()), f"{path.name} imports {parts - ALLOWED.get(own, set())}"


@pytest.mark.parametrize("package", LAYERS)
def test_a_room_imports_only_the_layers_below(package: str) -> None:
    """Every room of a package has its layer, and imports go down only."""
    folder = ROOT / package.replace(".", "/")
    level = {room: number for number, rooms in enumerate(LAYERS[package]) for room in rooms}
    for path in sorted(folder.rglob("*.py")):
        own = path.relative_to(folder).parts[0].removesuffix(".py")
        if own == "__init__":
            continue
        assert own in level, f"{path.relative_to(ROOT)}: give {own} a layer"
        rooms = {name.removeprefix(f"{package}.").split(".")[0] for name in imported(path) if name.startswith(package)}
        above = {room for room in rooms - {own, "__version__"} if level[room] >= level[own]}
        assert not above, f"{path.relative_to(ROOT)} imports {above}, which {own} may not"


@pytest.mark.parametrize("package", LAYERS)
def test_the_page_draws_the_layers(package: str) -> None:
    """ARCHITECTURE.md has a line of each package: every layer in its order, `…` where it does not name all of one."""
    text = (ROOT / "ARCHITECTURE.md").read_text()
    found = re.search(rf"^    {package.rpartition('.')[2]} +(.+ < .+)$", text, re.MULTILINE)
    assert found, package
    drawn = [set(layer.split(", ")) for layer in found[1].split(" < ")]
    layers = [rooms for rooms in LAYERS[package] if rooms != {"__main__"}]
    for rooms, layer in zip(drawn, layers, strict=True):
        assert rooms == layer or ("…" in rooms and rooms - {"…"} < layer), (rooms, layer)


def test_only_load_statistics_reach_from_the_load_into_the_judge() -> None:
    """The load may compute as the judge does, but never judges."""
    names = {name for path in (ROOT / "gaia_checks" / "load").rglob("*.py") for name in imported(path)}
    judging = {name for name in names if name.startswith("gaia_checks.judge")}
    assert {name for name in judging if not name.startswith("gaia_checks.judge.statistics")} == set()


def test_the_judge_opens_nothing_but_its_criteria() -> None:
    """The verdict depends on values alone: no process, socket, database or clock is within its reach."""
    for path in (ROOT / "gaia_checks" / "judge").glob("*.py"):
        roots = {name.partition(".")[0] for name in imported(path)}
        assert not roots & {"os", "subprocess", "socket", "time", "datetime", "httpx", "psycopg"}, path.name


def test_the_server_and_the_checks_do_not_know_each_other() -> None:
    """The gate starts the server by its command line, as it would any other."""
    server = {name for path in (ROOT / "gaia_server").rglob("*.py") for name in imported(path)}
    checks = {name for path in SOURCES for name in imported(path)}
    assert not [name for name in server if name.startswith("gaia_checks")]
    assert not [name for name in checks if name.startswith("gaia_server")]


def test_only_one_package_reads_the_environment() -> None:
    """Variables come from `environment`; the load's engine alone reads three of its own, inside locust."""
    readers = {path.relative_to(ROOT).as_posix() for path in SOURCES if "os.environ" in path.read_text()}
    outside = {name for name in readers if not name.startswith("gaia_checks/environment/")}
    assert outside == {f"gaia_checks/load/locust_plugin/{name}.py" for name in ("user", "target_names")}


def test_only_one_module_locks_files() -> None:
    """How a lock is taken, and that the kernel releases it, is written once."""
    users = {path.relative_to(ROOT).as_posix() for path in SOURCES if "fcntl.flock" in path.read_text()}
    assert users == {"gaia_checks/files.py"}


def test_only_one_module_runs_git() -> None:
    """What git may read of this process's environment, and that it asks nobody, is written once."""
    users = {path.relative_to(ROOT).as_posix() for path in SOURCES if '("git"' in path.read_text()}
    assert users == {"gaia_checks/deploy/git/git_command.py"}


def test_locust_stays_in_its_own_process() -> None:
    """Importing locust patches sockets and threads; only what locust itself loads may do it."""
    users = {
        path.relative_to(ROOT).as_posix()
        for path in SOURCES
        if any(n.partition(".")[0] in ("locust", "gevent") for n in imported(path))
    }
    plugin = {f"gaia_checks/load/locust_plugin/{name}.py" for name in ("user", "options", "workers", "master")}
    engines = ("gevent_client", "gevent_engine", "gevent_timer", "uvloop_process")
    assert users <= plugin | {f"gaia_checks/load/engines/{name}.py" for name in engines}


MAY_IMPORT = {
    ("--help",): ({"cli", "errors"}, {"click"}),
    ("--version",): ({"cli", "errors"}, {"click"}),
    ("stop", "--help"): ({"cli"} | GROUND, {"click"}),
    (): ({"cli", "promotion", "deploy", "report"} | GROUND, {"click", "psutil"}),
    ("status", "local"): ({"cli", "deploy", "tables"} | GROUND, {"click", "psutil", "rich"}),
    ("history", "local"): ({"cli", "deploy", "tables"} | GROUND, {"click", "rich"}),
}
"""Arguments of `gaia` -> the parts of gaia_checks, and the libraries, that the command may import."""


@pytest.mark.parametrize("arguments", MAY_IMPORT, ids=" ".join)
def test_a_command_imports_only_what_it_uses(arguments: tuple[str, ...], tmp_path: Path) -> None:
    """The path, help, status and history of an environment in which nothing runs start without anything else."""
    code = f"""if True:
        import sys
        before = {{*sys.modules}}
        from gaia_checks import cli
        cli.run({[*arguments]!r})
        print("modules", *sys.modules.keys() - before)"""
    done = subprocess.run(
        (sys.executable, "-c", code), cwd=ROOT, env={**os.environ, "GAIA_HOME": str(tmp_path), "DATABASE_URL": ""},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    modules = [name.split(".") for name in done.stdout.splitlines()[-1].split()[1:]]
    parts, libraries = MAY_IMPORT[arguments]
    assert {name[1] for name in modules if name[0] == "gaia_checks" and len(name) > 1} <= parts
    assert {name[0] for name in modules} - sys.stdlib_module_names <= libraries | {"gaia_checks"}


def test_help_imports_no_module_of_a_command() -> None:
    """What `gaia --help` lists is data; the modules of the commands stay where they are."""
    code = "import sys; from gaia_checks import cli; cli.run(['--help']); print('modules', *sys.modules)"
    done = subprocess.run((sys.executable, "-c", code), cwd=ROOT, capture_output=True, text=True, check=True)
    own = {name for name in done.stdout.splitlines()[-1].split() if name.startswith("gaia_checks.cli.")}
    assert own == {f"gaia_checks.cli.{name}" for name in ("command_table", "lazy_command", "program")}
