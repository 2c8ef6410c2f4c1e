"""A PgBouncer of the tests' own before a real PostgreSQL."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from psycopg.conninfo import conninfo_to_dict

from gaia_checks.deploy.state import processes
from gaia_checks.deploy.supervisor.spawn import free_port
from tests.deploy.stage import eventually

_CONFIGURATION = """
[databases]
* = host={host} user={user} {database}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = {mode}
"""


@contextmanager
def before(
    postgres: str, *, mode: str, settings: Mapping[str, object] | None = None, database: str = ""
) -> Iterator[str]:
    """Yield the connection string through a pooler; it connects every client to `database` if that is given.

    `settings` are more of its own.
    """
    parts, port = conninfo_to_dict(postgres), free_port()
    folder = Path(tempfile.mkdtemp(prefix="gaia-pooler-"))
    folder.chmod(0o755)
    configuration = folder / "pgbouncer.ini"
    configuration.write_text(
        _CONFIGURATION.format(
            host=parts["host"], user=parts["user"], port=port, mode=mode,
            database=f"dbname={database}" if database else "",
        )
        + "".join(f"{name} = {value}\n" for name, value in (settings or {}).items())
    )  # fmt: skip
    path = f"{os.environ['PATH']}:/usr/sbin"
    pooler = subprocess.Popen(
        (shutil.which("pgbouncer", path=path) or "pgbouncer", str(configuration)),
        user=Path(str(parts["host"])).stat().st_uid, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        eventually(lambda: processes.listener_pid(port) == pooler.pid)
        yield f"postgresql://{parts['user']}@127.0.0.1:{port}/{parts['dbname']}"
    finally:
        pooler.kill()
        pooler.wait()
        shutil.rmtree(folder)
