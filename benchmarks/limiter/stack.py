"""The system under test: a PostgreSQL for the benchmark, with default durability, and server processes on it."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from urllib.parse import quote

import httpx
import psutil
import psycopg

from benchmarks.limiter import contract
from gaia_checks.deploy.migrations import runner
from gaia_checks.deploy.postgres import database_connection, embedded
from gaia_checks.deploy.postgres.embedded import Cluster
from gaia_checks.environment.project import ROOT

PRODUCT = ("-m", "gaia_server")
READY_WITHIN_S = 20.0


@dataclass(frozen=True)
class Process:
    """A running server."""

    process: "subprocess.Popen[bytes]"
    port: int
    log: Path

    def kill(self) -> None:
        """Kill it with SIGKILL, so that it finishes nothing."""
        self.process.kill()
        self.process.wait()


@dataclass
class Stack:
    """The PostgreSQL and the servers started on it."""

    folder: Path
    cluster: Cluster
    cleanup: ExitStack
    servers: list[Process] = field(default_factory=list)

    def database(self, name: str, *, synchronous_commit: bool = True) -> str:
        """Create a database with the product's schema and no rule in force; return its connection string."""
        dsn = self.cluster.dsn(name)
        database_connection.ensure_exists(dsn)
        runner.up(dsn, ROOT / "migrations")
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute("UPDATE rate_limit_configs SET enabled = false")
        return dsn if synchronous_commit else f"{dsn}&options={quote('-c synchronous_commit=off')}"

    def server(
        self, dsn: str, command: tuple[str, ...] = PRODUCT, variables: Mapping[str, str] = MappingProxyType({})
    ) -> Process:
        """Start a server on a free port and return when it is ready; it is stopped with the stack."""
        port = _free_port()
        log = self.folder / f"server-{len(self.servers)}.log"
        environment = {
            "PATH": os.environ["PATH"],
            "DATABASE_URL": dsn,
            "PORT": str(port),
            "ADMIN_TOKEN": contract.TOKEN,
            "TRUSTED_PROXIES": "127.0.0.1",  # so that X-User-ID is accepted
            **variables,
        }
        with log.open("wb") as file:
            process = subprocess.Popen((sys.executable, *command), cwd=ROOT, env=environment, stdout=file, stderr=file)
        server = Process(process, port, log)
        self.servers.append(server)
        self.cleanup.callback(_end, process)
        _await_ready(server)
        return server

    def memory_bytes(self, server: Process) -> int:
        """Return the memory of a server and all of PostgreSQL; shared pages are divided among their processes."""
        postmaster = int((self.cluster.folder / "data" / "postmaster.pid").read_text().split("\n", 1)[0])
        trees = [psutil.Process(pid) for pid in (server.process.pid, postmaster)]
        processes = [process for tree in trees for process in (tree, *tree.children(recursive=True))]
        return sum(_pss_bytes(process.pid) for process in processes)


@contextmanager
def stack() -> Iterator[Stack]:
    """Start a PostgreSQL on the project's disk; stop and remove everything at the end."""
    work = ROOT / "build"
    work.mkdir(exist_ok=True)
    with ExitStack() as cleanup:
        folder = Path(cleanup.enter_context(tempfile.TemporaryDirectory(prefix="benchmark-", dir=work)))
        cluster = Cluster(embedded.place(folder / "postgres"))
        cleanup.callback(cluster.remove)
        cluster.start()
        yield Stack(folder, cluster, cleanup)


def fsync_ms(folder: Path) -> float:
    """Return the median time of 50 fsyncs of one page; durable figures depend on it."""
    times = []
    with tempfile.TemporaryFile(dir=folder) as file:
        for _ in range(50):
            os.write(file.fileno(), bytes(8192))
            started = time.perf_counter()
            os.fsync(file.fileno())
            times.append(time.perf_counter() - started)
    return sorted(times)[25] * 1000


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _await_ready(server: Process) -> None:
    deadline = time.monotonic() + READY_WITHIN_S
    while time.monotonic() < deadline and server.process.poll() is None:
        try:
            if httpx.get(f"http://127.0.0.1:{server.port}/readyz").status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.05)
    raise SystemExit(f"the server did not become ready; its log:\n{server.log.read_text()}")


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.send_signal(signal.SIGTERM)
    process.wait(15)


def _pss_bytes(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0  # a backend that has exited
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
