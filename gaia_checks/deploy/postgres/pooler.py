"""Recognises a pooler in transaction mode, where two sessions take turns on one backend and mix up their locks."""

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial

import psycopg
from psycopg.conninfo import make_conninfo

TURNS = 10
_TURN_LIMIT_S = 3.0


def shares_backends(session: psycopg.Connection) -> bool:
    """Whether the backend of `session` also serves another session that is open at the same time.

    Only behind a pooler does the server's backend have another process id than the one announced to the client. A
    pooler in session mode that has no free session keeps the other one waiting: that one is closed after a while.
    """
    if _backend(session) == session.info.backend_pid:
        return False
    address = make_conninfo(session.info.dsn, password=session.info.password or None)
    opened = partial(psycopg.connect, address, autocommit=True, prepare_threshold=None)
    with suppress(psycopg.OperationalError), opened() as other, _limited(other):
        own, others = set[int](), set[int]()
        for _ in range(TURNS):
            own |= {_backend(session), _backend(session)}
            others |= {_backend(other), _backend(other)}
            if len(own) > 1 or own & others:
                return True
    return False


@contextmanager
def _limited(session: psycopg.Connection) -> Iterator[None]:
    """Close the session's socket after _TURN_LIMIT_S, so that nothing waits for it."""
    with socket.socket(fileno=os.dup(session.fileno())) as copy:
        timer = threading.Timer(_TURN_LIMIT_S, copy.shutdown, (socket.SHUT_RDWR,))
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
            timer.join()


def _backend(session: psycopg.Connection) -> int:
    row = session.execute("SELECT pg_catalog.pg_backend_pid()").fetchone()
    return int(row[0]) if row else 0
