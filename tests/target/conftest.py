"""The real server, as the probes have it."""

from tests.probes.conftest import release, server

__all__ = ["release", "server"]
