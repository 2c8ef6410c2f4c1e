"""The target's names as one locust process knows them.

GAIA_NAMES (JSON of `Names`) is this process's own. A gate's workers take the tables of names from their master: they
are data. An adapter is code, and a worker runs only the one that it was started with.
"""

import json
import os
from dataclasses import asdict, replace

from gaia_checks.model import Names


def own() -> Names:
    """Return what this process was started with."""
    return Names(**json.loads(os.environ.get("GAIA_NAMES") or "{}"))


def for_workers() -> str:
    """Return what a master gives its workers, as JSON."""
    return json.dumps(asdict(replace(own(), adapter="")))


def of_worker(given: str | None) -> Names:
    """Return the names of a process, with those that its master gave it, if it has one."""
    return replace(Names(**json.loads(given)), adapter=own().adapter) if given else own()
