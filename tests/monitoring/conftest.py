"""The real server, and what Prometheus makes of it."""

import re
from collections.abc import Iterator

import pytest

from gaia_checks.environment.project import ROOT
from gaia_checks.model import Target
from gaia_checks.target import prometheus_text
from gaia_checks.target.prometheus_text import Exposition
from tests.monitoring.prometheus import Prometheus, running
from tests.probes.conftest import release, server

__all__ = ["release", "server"]

_SERIES = {"counter": ("",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}
_ROW = re.compile(r"^\| (counter|gauge|histogram) \| (.+) \|$", re.MULTILINE)
_METRIC = re.compile(r"`(\w+)(?:\{([\w,]+)\})?`")


@pytest.fixture(scope="session")
def prometheus(server: Target, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """A Prometheus that scrapes the real server as the shipped files say, but every second."""
    with running(server, tmp_path_factory.mktemp("prometheus")) as found:
        yield found


@pytest.fixture(scope="session")
def promised() -> Exposition:
    """The metrics of the contract, as a server that tells one series of each would tell them."""
    lines = []
    for kind, row in _ROW.findall((ROOT / "docs" / "contract.md").read_text()):
        for name, labels in _METRIC.findall(row):
            lines += [f"# HELP {name} It.", f"# TYPE {name} {kind}"]
            lines += [_sample(name + suffix, labels) for suffix in _SERIES[kind]]
    return prometheus_text.read("\n".join(lines))


def _sample(name: str, labels: str) -> str:
    told = [f'{label}=""' for label in labels.split(",") if label]
    if name.endswith("_bucket"):
        told.append('le="+Inf"')
    return f"{name}{{{','.join(told)}}} 1"
