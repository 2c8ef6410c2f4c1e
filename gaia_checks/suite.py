"""Public API for suites: what the test of a criterion needs to measure a target and to let the gate judge it.

A test takes `look: Look`, is marked `@pytest.mark.criterion(ID)`, and calls `look(probe)`; a probe takes a `Target` and
the parameters of its look by name, sends by `client(target)`, and returns `Measurement`s, which a `Watch` makes.
"""

from gaia_checks.errors import Inconclusive
from gaia_checks.gate.run.look import Look
from gaia_checks.model import Measurement, Target
from gaia_checks.target.client import client
from gaia_checks.target.samples import Score, Watch

__all__ = ["Inconclusive", "Look", "Measurement", "Score", "Target", "Watch", "client"]
