"""Fixtures: the real server, shared with the probes' tests."""

from tests.probes.conftest import release, server

__all__ = ["release", "server"]
