"""Where the workers of a load join: an address of the machine that gates."""

import os
import socket

from gaia_checks.environment.environment import LoadSettings


def why_closed(settings: LoadSettings) -> str | None:
    """Return why no worker can join at `settings.master`; None if the address is this machine's and its port free."""
    host, _, port = settings.master.rpartition(":")
    try:
        socket.create_server((host, int(port))).close()
    except OSError as error:
        return f"no worker can join at {settings.master}: {os.strerror(error.errno or 0)}"
    return None
