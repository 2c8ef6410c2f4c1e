"""One faulty server for all faults of a file with the same migrations."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache

import pytest

from tests.faults.place import Changes, Place, place


@pytest.fixture(scope="module")
def deployed() -> Iterator[Callable[..., Place]]:
    """A deployed server, with changed migrations if given."""
    with ExitStack() as stack:

        @cache
        def there(*changes: Changes) -> Place:
            return stack.enter_context(place(*changes))

        yield there
