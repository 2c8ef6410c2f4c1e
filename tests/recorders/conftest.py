"""The real server, for the recorders as the gate starts them."""

from tests.probes.conftest import release, server

__all__ = ["release", "server"]
