"""A HAProxy of the tests' own, before servers of the tests' own."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from gaia_checks.deploy.state import processes
from gaia_checks.deploy.supervisor.spawn import free_port
from tests.deploy.stage import eventually

_CONFIGURATION = """
defaults
    mode http
    timeout connect 5s
    timeout client 1m
    timeout server 1m
frontend public
    bind 127.0.0.1:{port}
    default_backend instances
backend instances
    balance roundrobin
"""


@contextmanager
def before(urls: Sequence[str]) -> Iterator[str]:
    """Yield the URL of a load balancer that sends each request to the next of these servers."""
    port = free_port()
    servers = (f"    server s{number} {url.removeprefix('http://')}\n" for number, url in enumerate(urls))
    with tempfile.TemporaryDirectory(prefix="gaia-haproxy-") as folder:
        configuration = Path(folder) / "haproxy.cfg"
        configuration.write_text(_CONFIGURATION.format(port=port) + "".join(servers))
        path = f"{os.environ['PATH']}:/usr/sbin"
        balancer = subprocess.Popen(
            (shutil.which("haproxy", path=path) or "haproxy", "-db", "-f", str(configuration)),
            stderr=subprocess.DEVNULL,
        )
        try:
            eventually(lambda: processes.listener_pid(port) == balancer.pid)
            yield f"http://127.0.0.1:{port}"
        finally:
            balancer.kill()
            balancer.wait()
