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
def target(*mode: str) -> Iterator[str]:
    """Compile and start the server in a mode (`fast`, `stall 1`, `delay 0.095`); yield its address."""
    with tempfile.TemporaryDirectory() as folder, socket.create_server(("127.0.0.1", 0)) as free:
        program, port = Path(folder) / "server", free.getsockname()[1]
        subprocess.run(["cc", "-O2", "-o", program, _SOURCE], check=True)
        free.close()
        process = subprocess.Popen([program, str(port), *mode])
        try:
            _wait(port)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.kill()
            process.wait()


def _wait(port: int) -> None:
    deadline = time.monotonic() + 10
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return
