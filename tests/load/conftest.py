"""The real server, as the looks have it."""

from tests.probes.conftest import release, server

__all__ = ["release", "server"]
