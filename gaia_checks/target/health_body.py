"""What the body of /health says."""

import time
from typing import Any
import httpx
from gaia_checks.errors import TargetUnreachable
from gaia_checks.model import Measurement, Target
from gaia_checks.probes.client import client
from gaia_checks.probes.tally import Tally, Watch

PATH = "/health"


def read(response: httpx.Response) -> dict[str, Any]:
    """Return the body of an answer of /health; empty when it is no JSON object."""
    try:
        body = response.json()
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def database_connected(body: dict[str, Any]) -> bool:
    """Whether a body of /health says that the server reaches its database."""
    check = checks(body).get("database")
    return (check.get("status") if isinstance(check, dict) else check) in ("ok", "connected", "healthy")


def checks(body: dict[str, Any]) -> dict[str, Any]:
    checks = body.get("checks")
    return checks if isinstance(checks, dict) else {}
