"""Servers left by a supervisor that died: the new supervisor adopts the recorded one and ends the others."""

from pathlib import Path

from gaia_checks.deploy.state import processes, supervisor_state
from gaia_checks.deploy.state.paths import Paths
from gaia_checks.deploy.state.supervisor_state import SupervisorState
from gaia_checks.deploy.supervisor.supervised_server import MARK, ServerSpec
from gaia_checks.model import Log

_ADDED_AT_START = frozenset({MARK, "LISTEN_FDS", "LISTEN_PID", "PWD", "OLDPWD", "SHLVL", "_"})


def survivor(here: Paths, log: Log) -> SupervisorState | None:
    """Return the record of the server that still runs, None without one; end every other server.

    Servers are recognised by a variable that no other process has: MARK, their cache folder.
    """
    recorded = supervisor_state.read(here.record)
    alive = recorded if recorded and recorded.server and recorded.server.alive and recorded.release else None
    adopted_pid = alive.server.pid if alive and alive.server else None
    for pid, birth in processes.marked(MARK, here.caches):
        if pid != adopted_pid:
            log(f"ending pid {pid}, left by a supervisor that died")
            processes.end(pid, birth)
    return alive


def spec_of(recorded: SupervisorState) -> ServerSpec:
    """Return the specification of the surviving server, with the variables of its running process."""
    pid = recorded.server.pid if recorded.server else 0
    variables = {name: value for name, value in processes.variables(pid).items() if name not in _ADDED_AT_START}
    return ServerSpec(
        release=Path(recorded.release or ""),
        variables=variables,
        host=recorded.host or "",
        port=recorded.port or 0,
        handover=recorded.handover,
        paths=recorded.paths,
        ready_s=recorded.ready_s,
    )
