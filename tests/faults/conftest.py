"""One faulty server for all faults of a file that are deployed alike."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache

import pytest

from tests.faults.place import Changes, Place, place
from tests.faults.table import Fault


@pytest.fixture(scope="module")
def place_for() -> Iterator[Callable[[Fault], Place]]:
    """Where a fault can be brought about."""
    with ExitStack() as stack:

        @cache
        def deployed(changes: tuple[Changes, ...]) -> Place:
            return stack.enter_context(place(*changes))

        yield lambda fault: deployed(fault.changes)
