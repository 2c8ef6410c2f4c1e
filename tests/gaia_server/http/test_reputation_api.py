"""Reputation over real HTTP, and its weekly decay."""

from datetime import UTC, datetime, timedelta

import httpx
import psycopg
import pytest

from gaia_server.limiting.reputation import Reputation, after_idle
from tests.gaia_server.conftest import Running, Start, unique
from tests.support import plain_http


def test_life_of_a_reputation(client: httpx.Client) -> None:
    """A user starts with 50; a manual score is stored with its reason; deleting it returns to the start."""
    user = unique("user")
    assert client.get(f"/reputation/{user}").status_code == 404
    initial = client.get(f"/users/{user}").json()["reputation"]
    assert initial == {
        "user": user,
        "score": 50,
        "tier": "standard",
        "vip": False,
        "factor": 1.0,
        "clean_requests": 0,
        "created_at": None,
        "updated_at": None,
    }
    written = client.put(f"/reputation/{user}", json={"score": 15, "reason": "sent spam — für Geld"}).json()
    assert (written["score"], written["tier"], written["factor"]) == (15, "flagged", 0.5)
    written = client.put(f"/reputation/{user}", json={"score": 20, "vip": True, "reason": "pays"}).json()
    assert (written["score"], written["tier"], written["factor"]) == (20, "vip", 2.0)
    events = client.get("/reputation-events", params={"user": user}).json()
    assert [(event["kind"], event["change"], event["reason"]) for event in events["items"]] == [
        ("manual", 5, "pays"),
        ("manual", -35, "sent spam — für Geld"),
    ]
    assert client.delete(f"/reputation/{user}").status_code == 204
    assert client.get(f"/reputation/{user}").status_code == 404
    assert client.get(f"/users/{user}").json()["reputation"] == initial
    assert client.get("/reputation-events", params={"user": user}).json()["total"] == 0


def test_filters(client: httpx.Client) -> None:
    """Scores are listed from the lowest, filtered by tier or bounds."""
    users = {unique("user"): score for score in (95, 5, 60, 19)}
    for user, score in users.items():
        client.put(f"/reputation/{user}", json={"score": score, "reason": "test"})

    def found(**filters: str | int) -> list[int]:
        listed = client.get("/reputation", params={"limit": 200, **filters}).json()["items"]
        return [one["score"] for one in listed if one["user"] in users]

    assert found() == [5, 19, 60, 95]
    assert found(tier="flagged") == [5, 19]
    assert found(tier="trusted") == [95]
    assert found(min_score=19, max_score=60) == [19, 60]
    for user in users:
        client.delete(f"/reputation/{user}")


@pytest.mark.parametrize(("enabled", "effective"), [("true", 5), ("false", 10)])
def test_effective_limits(start: Start, enabled: str, effective: int) -> None:
    """A user's effective limits depend on the tier, if reputation is enabled."""
    server = start(REPUTATION_ENABLED=enabled, TRUSTED_PROXIES="127.0.0.1")
    server.rule(scope="user", limit_value=10, limit_type="daily_quota")
    server.request("PUT", f"{server.home}/reputation/ada", json={"score": 3, "reason": "test"})
    user = server.get(f"{server.home}/users/ada").json()
    assert user["reputation_in_force"] == (enabled == "true")
    assert user["reputation"]["tier"] == "flagged"
    (limit,) = user["limits"]
    assert (limit["limit_value"], limit["effective_limit"], limit["remaining"]) == (10, effective, effective)
    assert plain_http.get(f"{server.base_url}/api/x", headers={"X-User-ID": "ada"}).status_code == 404
    for path in ("/usage?scope=user", "/users"):
        (item,) = server.get(f"{server.home}{path}").json()["items"]
        assert (item["limit_value"], item["effective_limit"], item["used"]) == (10, effective, 1)


SCORES = (0, 2, 20, 46, 49, 51, 53, 77, 100)
IDLE_DAYS = (0.1, 6.9, 7.1, 13.9, 14.1, 70.5, 365.5)


def test_decay_matches_the_pure_core(schema: str) -> None:
    """For every score and time the database has the core's score and the core's remaining time."""
    now = datetime.now(UTC)
    with psycopg.connect(schema, autocommit=True) as connection:
        for score in SCORES:
            for days in IDLE_DAYS:
                connection.execute(
                    "INSERT INTO reputation_scores (key, score, updated_at) VALUES (%s, %s, %s)",
                    (f"user:{score}/{days}", score, now - timedelta(days=days)),
                )
        for _ in range(3):  # the second and third change nothing
            connection.execute("SELECT reputation_decay(1000)")
        for score in SCORES:
            for days in IDLE_DAYS:
                expected, used_up = after_idle(Reputation(score), timedelta(days=days))
                key = f"user:{score}/{days}"
                found = connection.execute(
                    "SELECT score, updated_at FROM reputation_scores WHERE key = %s", (key,)
                ).fetchone()
                assert found == (expected.score, now - timedelta(days=days) + used_up), key
                events = connection.execute("SELECT change FROM reputation_events WHERE key = %s", (key,)).fetchall()
                assert events == ([(expected.score - score,)] if expected.score != score else []), key


def test_concurrent_decay(schema: str) -> None:
    """When several processes decay scores at the same time, each week counts once."""
    with psycopg.connect(schema, autocommit=True) as first, psycopg.connect(schema) as second:
        first.execute(
            "INSERT INTO reputation_scores (key, score, updated_at)"
            " SELECT 'user:' || n, 90, now() - interval '8 days' FROM generate_series(1, 50) AS n"
        )
        assert second.execute("SELECT reputation_decay(20)").fetchone() == (20,)  # and keeps its locks
        assert first.execute("SELECT reputation_decay(100)").fetchone() == (30,)
        second.commit()
        assert first.execute("SELECT reputation_decay(100)").fetchone() == (0,)
        assert first.execute("SELECT DISTINCT score FROM reputation_scores").fetchall() == [(85,)]


def test_reputation_is_reported_as_disabled(server: Running) -> None:
    """Without the setting a reputation is stored and changes no limit."""
    assert server.get(f"{server.home}/users/ada", headers=server.headers).json()["reputation_in_force"] is False
