"""Start a server process, with its listening sockets as fd 3 and up in systemd's LISTEN_FDS protocol."""

import contextlib
import errno
import fcntl
import os
import secrets
import signal
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path

from gaia_checks.errors import ConfigurationError, PortInUse

_BACKLOG = 2048
_FIRST_PORT, _LAST_PORT = 10_000, 32_000  # below the ephemeral ports of Linux and macOS
_ABOVE = 10  # descriptors are duplicated above this, so that assigning 0 to 4 overwrites none
_LAUNCH = 'export LISTEN_PID=$$; exec "$0"'  # the pid is known only in the new process
_LAUNCH_WITHOUT_SOCKETS = 'exec "$0"'


def listen(host: str, port: int) -> socket.socket:
    """Bind and listen. Raises PortInUse, or ConfigurationError for an unavailable address."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    public = socket.socket(family, socket.SOCK_STREAM)
    try:
        public.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        public.bind((host, port))
        public.listen(_BACKLOG)
    except OSError as error:
        public.close()
        if isinstance(error, PermissionError):
            raise ConfigurationError(f"port {port} is reserved for root; set PORT to one above 1023") from error
        if error.errno == errno.EADDRINUSE:
            raise PortInUse(
                f"port {port} is in use; stop the process that listens there, or set PORT to a free port"
            ) from error
        raise ConfigurationError(f"cannot listen on {host} port {port}: {error.strerror}; correct `host`") from error
    return public


def free_port() -> int:
    """Return a free loopback port outside the ephemeral range, so that the kernel assigns it to no other process."""
    while True:
        port = _FIRST_PORT + secrets.randbelow(_LAST_PORT - _FIRST_PORT)
        with contextlib.suppress(PortInUse):
            listen("127.0.0.1", port).close()
            return port


def spawn(executable: Path, variables: Mapping[str, str], sockets: Sequence[socket.socket], log: Path) -> int:
    """Start `executable` in its own process group with exactly `variables` as environment; return its pid."""
    descriptors = [fcntl.fcntl(one.fileno(), fcntl.F_DUPFD_CLOEXEC, _ABOVE) for one in sockets]
    try:
        return os.posix_spawn(
            "/bin/sh",
            ("sh", "-c", _LAUNCH if sockets else _LAUNCH_WITHOUT_SOCKETS, str(executable)),
            {**variables, **({"LISTEN_FDS": str(len(sockets))} if sockets else {})},
            file_actions=(
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, str(log), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600),
                (os.POSIX_SPAWN_DUP2, 1, 2),
                *((os.POSIX_SPAWN_DUP2, source, 3 + index) for index, source in enumerate(descriptors)),
            ),
            setpgroup=0,
            setsigdef=(signal.SIGPIPE, signal.SIGINT),
        )
    finally:
        for descriptor in descriptors:
            os.close(descriptor)
