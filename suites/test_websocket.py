"""The live WebSocket."""

import pytest

from gaia_checks.probes import websocket
from gaia_checks.suite import Look


@pytest.mark.criterion("dev.websocket")
def test_websocket_connects(look: Look) -> None:
    """A client connects and gets its first stats and heartbeat in time."""
    look(websocket.probe)


@pytest.mark.criterion("qa.websocket_soak")
def test_websocket_stays_stable(look: Look) -> None:
    """Many clients stay connected for the whole window and miss nothing."""
    look.recorded()
