"""The supervisor's last state, in a file that outlives it: processes, release, and status."""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil

from gaia_checks import files, process_identity
from gaia_checks.deploy.state import processes
from gaia_checks.errors import DeployError


@dataclass(frozen=True, slots=True)
class Running:
    """A process, identified by pid and birth."""

    pid: int
    birth: str  # from `process_identity.birth`
    created_s: float  # seconds since the epoch, by the clock at that time

    @property
    def alive(self) -> bool:
        """Whether the process still runs."""
        return processes.alive(self.pid, self.birth)

    def end(self) -> None:
        """Stop the process: SIGTERM, then SIGKILL."""
        processes.end(self.pid, self.birth)


@dataclass(frozen=True, slots=True)
class SupervisorState:
    """One supervisor and its server. It contains no secret."""

    supervisor: Running
    state: str = "stopped"  # "running", "stopped", "crashed", "starting"
    server: Running | None = None
    started_at: str | None = None  # of the server, RFC 3339
    restarts: int = 0  # since this release was deployed
    release: str | None = None  # its folder
    host: str | None = None
    port: int | None = None
    handover: bool = True  # whether the server accepted the supervisor's sockets
    paths: tuple[str, ...] = ()  # the readiness paths; empty: the contract's
    ready_s: float = 30.0  # seconds until it must be ready


def write(path: Path, record: SupervisorState) -> None:
    """Replace the file atomically."""
    files.replace(path, json.dumps(asdict(record)), durable=True, mode=0o600)


def read(path: Path) -> SupervisorState | None:
    """Return the file's state, None when there is no file. Raises DeployError when it is damaged."""
    try:
        found: dict[str, Any] = json.loads(path.read_text())
        server = found["server"]
        return SupervisorState(
            **{
                **found,
                "supervisor": Running(**found["supervisor"]),
                "server": Running(**server) if server else None,
                "paths": tuple(found["paths"]),
            }
        )
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, KeyError) as error:
        raise DeployError(f"{path}: damaged; stop the server by hand, then remove the file") from error


def mine() -> Running:
    """Return this process."""
    return of(os.getpid())


def of(pid: int) -> Running:
    """Return the process that currently has `pid`. Raises psutil.NoSuchProcess."""
    return Running(pid, process_identity.birth(pid), psutil.Process(pid).create_time())
