"""The real server, from the probes' fixtures."""

from tests.probes.conftest import release, server

__all__ = ["release", "server"]
