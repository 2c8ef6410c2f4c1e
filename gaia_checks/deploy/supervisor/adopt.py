"""What a supervisor that died has left running: the server on record becomes its successor's, the rest is ended."""

from collections.abc import Callable
from pathlib import Path

from gaia_checks.deploy.state import processes, supervisor_state
from gaia_checks.deploy.state.paths import Places
from gaia_checks.deploy.state.supervisor_state import SupervisorState
from gaia_checks.deploy.supervisor.server_process import MARK, ServerSpec

_NOT_THE_SERVERS = frozenset({MARK, "LISTEN_FDS", "LISTEN_PID", "PWD", "OLDPWD", "SHLVL", "_"})


def survivor(here: Places, say: Callable[[str], None]) -> SupervisorState | None:
    """Return the record of a server that still runs, None without one; every other server is ended.

    Servers are recognised by a variable that no other process has: their folder for what they unpack.
    """
    found = supervisor_state.read(here.record)
    alive = found if found and found.server and found.server.alive and found.release else None
    mine = alive.server.pid if alive and alive.server else None
    for pid, birth in processes.marked(MARK, here.caches):
        if pid != mine:
            say(f"ending pid {pid}, left by a supervisor that died")
            processes.end(pid, birth)
    return alive


def order(found: SupervisorState) -> ServerSpec:
    """Return what the surviving server was ordered to be; its variables are those that it was started with."""
    pid = found.server.pid if found.server else 0
    given = {name: value for name, value in processes.variables(pid).items() if name not in _NOT_THE_SERVERS}
    return ServerSpec(
        release=Path(found.release or ""),
        variables=given,
        host=found.host or "",
        port=found.port or 0,
        handover=found.handover,
        paths=found.paths,
        ready_s=found.ready_s,
    )
