"""The stored messages: each is about the state at its position, whoever waited for whom."""

import threading
from typing import Any

import psycopg

from tests.gaia_server.conftest import poll


def waiting(connection: psycopg.Connection) -> bool:
    """Whether a session waits for an advisory lock."""
    row = connection.execute(
        "SELECT EXISTS (SELECT FROM pg_locks AS l JOIN pg_database AS d ON d.oid = l.database"
        " WHERE d.datname = current_database() AND l.locktype = 'advisory' AND NOT l.granted)"
    ).fetchone()
    return bool(row and row[0])


def test_a_message_that_waits_for_another_has_the_state_after_it(schema: str) -> None:
    """An alert is acknowledged while it resolves: the later message says that it has resolved."""
    with psycopg.connect(schema, autocommit=True) as observer, psycopg.connect(schema) as evaluation:
        observer.execute(
            "INSERT INTO rate_limit_alerts (name, severity, says, threshold, value, fired_at)"
            " VALUES ('a', 'warning', 'says', 1, 2, now())"
        )
        evaluation.execute("UPDATE rate_limit_alerts SET resolved_value = 0, resolved_at = now()")

        def acknowledge() -> None:
            with psycopg.connect(schema, autocommit=True) as connection:
                connection.execute(
                    "INSERT INTO rate_limit_alert_acknowledgements (alert_id, acknowledged_at, acknowledged_by)"
                    " SELECT id, clock_timestamp(), 'ada' FROM rate_limit_alerts"
                )

        person = threading.Thread(target=acknowledge)
        person.start()
        poll(lambda: waiting(observer))
        evaluation.commit()
        person.join()
        rows: list[tuple[dict[str, Any]]] = observer.execute(
            "SELECT data FROM push_messages ORDER BY pushed_at"
        ).fetchall()
    states = [(data["resolved_value"], data.get("acknowledged_by")) for (data,) in rows]
    assert states == [(None, None), (0, None), (0, "ada")]


def test_messages_stay_for_ten_minutes_also_where_nobody_is_refused(schema: str) -> None:
    """The next alert deletes the old messages of alerts, though those are kept for months."""
    with psycopg.connect(schema, autocommit=True) as connection:
        for minutes in (11, 9):
            connection.execute(
                "INSERT INTO rate_limit_alerts (name, severity, says, threshold, value, fired_at)"
                " VALUES (%s, 'warning', 'says', 1, 2, now())",
                (f"{minutes} minutes ago",),
            )
            connection.execute(
                "UPDATE push_messages SET pushed_at = pushed_at - make_interval(mins => %s)"
                " WHERE pushed_at > now() - interval '5 minutes'",
                (minutes,),
            )
        connection.execute("UPDATE rate_limit_alerts SET resolved_value = 0, resolved_at = now() WHERE name LIKE '9 %'")
        rows = connection.execute("SELECT data ->> 'name' FROM push_messages ORDER BY pushed_at").fetchall()
    assert rows == [("9 minutes ago",)] * 2
