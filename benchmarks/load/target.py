"""The server of the benchmark: compiled from C, so that its own time is negligible."""

import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_SOURCE = Path(__file__).with_name("server.c")


@contextmanager
def target(mode: str, seconds: str = "0", host: str = "127.0.0.1") -> Iterator[str]:
    """Compile and start the server in a mode (`fast`, `stall 1`, `delay 0.095`); yield its address."""
    with tempfile.TemporaryDirectory() as folder, socket.create_server((host, 0)) as free:
        program, port = Path(folder) / "server", free.getsockname()[1]
        subprocess.run(["cc", "-O2", "-o", program, _SOURCE], check=True)
        free.close()
        process = subprocess.Popen([program, str(port), mode, seconds, host])
        try:
            _wait(host, port)
            yield f"http://{host}:{port}"
        finally:
            process.kill()
            process.wait()


def _wait(host: str, port: int) -> None:
    deadline = time.monotonic() + 10
    while True:
        try:
            socket.create_connection((host, port), 1).close()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return
