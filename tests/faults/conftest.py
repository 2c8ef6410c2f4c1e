"""One faulty server for all faults of a file that need the same migrations."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache

import pytest

from tests.faults.place import Changes, Place, place


@pytest.fixture(scope="module")
def deployed() -> Iterator[Callable[..., Place]]:
    """Where a server is deployed, with changes in its migrations if they are given."""
    with ExitStack() as stack:

        @cache
        def there(*changes: Changes) -> Place:
            return stack.enter_context(place(*changes))

        yield there
