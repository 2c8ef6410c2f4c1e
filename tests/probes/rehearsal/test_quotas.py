"""The quotas probe detects quotas that count one too many or forget; the real server's are exact."""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request
from starlette.responses import Response

from gaia_checks.deploy.migrations import runner
from gaia_checks.deploy.rehearsal.rehearsal_copy import RehearsalCopy
from gaia_checks.deploy.supervisor.spawn import free_port
from gaia_checks.errors import Inconclusive, TargetUnreachable
from gaia_checks.model import Measurement, Target
from gaia_checks.probes.rehearsal import calendar_periods, quotas
from gaia_checks.target.client import client
from gaia_checks.target.responses import CONFIG, USAGE
from tests.probes import copies, servers
from tests.probes.modified import modified
from tests.probes.servers import Spoil, spoiled, target
from tests.support import altered_server


def test_the_real_server_counts_exactly(server: Target) -> None:
    """Answers, headers and listed usage match the sent requests, and no rule is left."""
    observed = quotas.live(server)
    assert (observed.name, observed.value, observed.n, observed.notes) == ("quotas.counts_equal", 24, 24, ())
    with client(server) as http:
        rules = http.get(CONFIG, params={"limit": 200}).json()["items"]
    assert [rule["rule_name"] for rule in rules if "quotas" in rule["rule_name"]] == []


def changed(request: Request, response: Response, name: str, by: int) -> Response:
    """Change a number in the list of usage, the same for every key."""
    if request.url.path != USAGE:
        return response
    body = json.loads(bytes(response.body))
    for item in body["items"]:
        item[name] += by
    return Response(json.dumps(body), response.status_code, media_type="application/json")


def header(request: Request, response: Response, name: str, by: int) -> Response:
    """Change the remaining number in a header of counted requests."""
    pattern = r"\d+" if name.startswith("X-") else r"(?<=r=)\d+"
    if counted(request):
        found = re.sub(pattern, lambda number: str(int(number[0]) + by), response.headers[name])
        response.headers[name] = found
    return response


def counted(request: Request) -> bool:
    """Whether a request is one of those that are counted."""
    return "-quotas-" in request.headers.get("X-API-Key", "")


def admits_one_more() -> Spoil:
    """Let the first refused request pass."""
    refused: list[Request] = []

    def spoil(request: Request, response: Response) -> Response:
        if counted(request) and response.status_code == 429 and not refused:
            refused.append(request)
            response.status_code = 200
        return response

    return spoil


PERIOD_START = "date_trunc(rate_limit_period(limit_type), moment, 'UTC')"
SUNDAY = "date_trunc('week', moment + interval '1 day', 'UTC') - interval '1 day'"


MONTH_OF_27_DAYS = "replace('1 ' || rate_limit_period(limit_type), '1 month', '27 days')"


def failing(request: Request, response: Response) -> Response:
    """Let the list of usage fail."""
    return Response("", 500) if request.url.path == USAGE else response


FAULTS: dict[str, tuple[Callable[[], Spoil], int, str]] = {
    "usage reports one too few": (
        lambda: lambda request, response: changed(request, response, "used", -1),
        15, "daily_quota: GET /api/admin/quotas/usage reports 11 used and 8 left, should be 12 used and 8 left",
    ),
    "usage reports too many left": (
        lambda: lambda request, response: changed(request, response, "remaining", 1),
        15, "daily_quota: GET /api/admin/quotas/usage reports 12 used and 9 left, should be 12 used and 8 left",
    ),
    "usage fails": (lambda: failing, 15, "daily_quota: GET /api/admin/quotas/usage answers 500"),
    "RateLimit reports one too many": (
        lambda: lambda request, response: header(request, response, "RateLimit", 1),
        18, "daily_quota: RateLimit reports r=9 of the rule, should be 8",
    ),
    "X-RateLimit-Remaining reports one too many": (
        lambda: lambda request, response: header(request, response, "X-RateLimit-Remaining", 1),
        18, "daily_quota: X-RateLimit-Remaining is 9, RateLimit reports",
    ),
    "one request too many is admitted": (
        admits_one_more,
        23, "daily_quota: of 14 requests 9 were answered 200, 5 were answered 429, should be 8 were answered 200",
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_a_count_that_is_off_by_one_is_detected(server: Target, fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong number fails every sample that reports it, and the first note has the reported number."""
    monkeypatch.setattr("gaia_checks.probes.rehearsal.counted_rules._SETTLE_S", 0)  # this server is one process
    spoil, good, note = FAULTS[fault]
    with spoiled(server, spoil()) as wrong:
        observed = quotas.live(wrong)
    assert (observed.value, observed.n) == (good, 24)
    assert observed.notes[0].startswith(note)


def test_a_server_that_limits_nothing_counts_nothing(executable: Path, database: str, tmp_path: Path) -> None:
    """With rate limiting off, only the samples of admitted requests are good."""
    runner.up(database, copies.MIGRATIONS)
    with servers.real(executable, database, tmp_path / "log", RATE_LIMIT_ENABLED="false") as lax:
        observed = quotas.live(lax)
    assert (observed.value, observed.n) == (3, 24)


def test_a_rule_that_is_not_ours_decides_nothing(server: Target) -> None:
    """A refusing foreign rule is named and makes the probe inconclusive, as the right count is unknown."""

    def refuse(request: Request, response: Response) -> Response:
        if counted(request):
            response.status_code = 429
            response.headers["RateLimit"] = f'"{request.headers["X-API-Key"]}";r=7;t=60, "strict";r=0;t=1'
        return response

    with (
        spoiled(server, refuse) as wrong,
        pytest.raises(Inconclusive, match="the rule strict refuses requests of this gate"),
    ):
        quotas.live(wrong)


def test_a_rule_that_is_not_in_force_is_named(postgres: str, tmp_path: Path) -> None:
    """A limiter that leaves out one kind of rule fails by its own name, not by that of the rule that counts instead."""
    sql = "migrations/050_rate_limiting.sql"
    forgetting = (
        sql,
        "ON c.enabled AND c.scope = ANY",
        "ON c.enabled AND c.limit_type <> 'weekly_quota' AND c.scope = ANY",
    )
    with modified(postgres, tmp_path, forgetting) as wrong:
        observed = quotas.live(wrong)
    rule = r"client-[0-9a-f]{12}-quotas-weekly_quota"
    named = rf"weekly_quota: the rule {rule} was accepted and is not in force: default-global-second counts instead"
    assert any(re.fullmatch(named, note) for note in observed.notes), observed.notes


def test_rules_that_a_restart_loses_are_named(executable: Path, tmp_path: Path) -> None:
    """Rules from before the last start of the database do not count: the rehearsal copy fails by their names."""
    migrations = copies.variant(
        tmp_path / "migrations",
        (
            "ON c.enabled AND c.scope = ANY",
            "ON c.enabled AND c.updated_at > pg_postmaster_start_time() AND c.scope = ANY",
        ),
    )
    with copies.released(executable, tmp_path / "releases", migrations) as release:
        kept = by_name(quotas.on_copy(copies.copy_of(release)))["kept_across_restart"]
    assert kept.value is False
    assert any("after the crash" in note and "was accepted and is not in force" in note for note in kept.notes), (
        kept.notes
    )


def test_no_listener_is_unreachable() -> None:
    """A server that does not answer raises TargetUnreachable."""
    with pytest.raises(TargetUnreachable, match="no answer to POST"):
        quotas.live(target(f"http://127.0.0.1:{free_port()}"))


# on a copy -----------------------------------------------------------------------------------------


def test_the_real_server_keeps_its_counts_and_knows_its_periods(executable: Path, tmp_path: Path) -> None:
    """Counts are exact after a crash of server and database, at period edges, and after an hour."""
    with copies.released(executable, tmp_path / "releases") as release:
        observed = by_name(quotas.on_copy(copies.copy_of(release)))
    assert {name: (each.value, each.n, each.notes) for name, each in observed.items()} == {
        "kept_across_restart": (True, 4, ()),
        "kept_by_retention": (8, 8, ()),
        "reset_at_period_edges": (17, 17, ()),
        "hour_window_expires": (5, 5, ()),
    }


def test_counts_lost_in_a_crash_and_wrong_periods_are_detected(executable: Path, tmp_path: Path) -> None:
    """An unlogged quota table is empty after a crash; a week from Sunday also ends early; no month has 27 days."""
    migrations = copies.variant(
        tmp_path / "migrations",
        ("CREATE TABLE resource_quotas", "CREATE UNLOGGED TABLE resource_quotas"),
        ("('1 ' || rate_limit_period(limit_type))", MONTH_OF_27_DAYS),
        (PERIOD_START, f"CASE limit_type WHEN 'weekly_quota' THEN {SUNDAY} ELSE {PERIOD_START} END"),
    )
    with copies.released(executable, tmp_path / "releases", migrations) as release:
        observed = by_name(quotas.on_copy(copies.copy_of(release)))
    kept = observed["kept_across_restart"]
    assert kept.value is False
    assert kept.notes[0].startswith(
        "after the crash: daily_quota: GET /api/admin/quotas/usage reports 0 used and 8 left"
    )
    assert not [note for note in kept.notes if "requests_per_hour" in note]
    edges = observed["reset_at_period_edges"]
    assert (edges.value, edges.n) == (12, 17)
    assert "weekly_quota: of " in edges.notes[0]
    assert [note.partition(", and")[0].rstrip("0123456789") for note in edges.notes[1:3]] == [
        f"in the next period: {quota}: Retry-After is " for quota in ("weekly_quota", "monthly_quota")
    ]
    assert ["with the clock set back since: monthly_quota: " in note for note in edges.notes[3:]] == [True, True]
    assert observed["hour_window_expires"].value == 5


def test_a_month_of_thirty_days_is_detected_in_every_month(executable: Path, tmp_path: Path) -> None:
    """Of two months that follow each other, one has another length, whatever month it is now."""
    month = ("('1 ' || rate_limit_period(limit_type))", MONTH_OF_27_DAYS.replace("27", "30"))
    migrations = copies.variant(tmp_path / "migrations", month)
    with copies.released(executable, tmp_path / "releases", migrations) as release:
        edges = by_name(quotas.on_copy(copies.copy_of(release)))["reset_at_period_edges"]
    assert 1 <= edges.n - edges.value <= 3
    assert "with the clock set back since: monthly_quota: Retry-After is " in " ".join(edges.notes)


def test_a_count_that_outlives_its_period_is_detected(executable: Path, tmp_path: Path) -> None:
    """The first request after each edge finds the old count, and the others do not."""
    migrations = copies.variant(tmp_path / "migrations", ("        used[n] := 0;\n", ""))
    with copies.released(executable, tmp_path / "releases", migrations) as release:
        edges = by_name(quotas.on_copy(copies.copy_of(release)))["reset_at_period_edges"]
    assert edges.n - edges.value >= len(calendar_periods.QUOTAS)  # how many, depends on which are decided together
    assert re.search(r"used up just before .*: daily_quota: of 8 requests .*answered 429, should", edges.notes[0])


RUNNING, IDLE = "q.period_start < rate_limit_period_start(", "clock_timestamp() - rate_limit_window(c.limit_type) - "


@pytest.mark.parametrize(
    ("change", "good", "said"),
    [
        ((RUNNING, RUNNING.replace("<", "<=")), 2, "daily_quota: of 2 requests 2 were answered 200"),
        ((IDLE, "clock_timestamp() - "), 6, "requests_per_hour: of 2 requests 2 were answered 200"),
    ],
    ids=["periods that still run are closed", "an hour's window is forgotten while it is idle"],
)
def test_a_retention_that_deletes_too_much_is_detected(
    tmp_path: Path, change: tuple[str, str], good: int, said: str
) -> None:
    """What is not old is still counted after the retention has run."""
    altered = altered_server.write(tmp_path / "altered", ("retention.py", *change))
    with copies.released(altered, tmp_path / "releases") as release:
        kept = by_name(quotas.on_copy(copies.copy_of(release)))["kept_by_retention"]
    assert (kept.value, kept.n) == (good, 8)
    assert kept.notes[0].startswith(f"after the retention: {said}")


def test_without_a_run_of_the_retention_nothing_is_judged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that does not know the variable is no worse than one that does."""
    monkeypatch.setattr("gaia_checks.probes.rehearsal.moved_admissions._PATIENCE_S", 0.5)
    unknowing = altered_server.write(tmp_path / "altered", ("settings.py", '"RETENTION_INTERVAL_S", D', '"UNKNOWN", D'))
    with copies.released(unknowing, tmp_path / "releases") as release:
        observed = by_name(quotas.on_copy(copies.copy_of(release)))
    kept, hour = observed["kept_by_retention"], observed["hour_window_expires"]
    assert (kept.n, kept.notes[0].partition(" within")[0]) == (0, "not checked: the server did not run its retention")
    assert (hour.value, hour.n) == (5, 5)


def test_without_a_rehearsal_copy_there_is_only_a_reason() -> None:
    """Without a rehearsal copy none of the four has samples."""

    @contextmanager
    def none() -> Iterator[RehearsalCopy]:
        raise Inconclusive("there can be no rehearsal copy: the disk is full")
        yield

    observed = quotas.on_copy(none())
    assert [each.n for each in observed] == [0, 0, 0, 0]
    assert {each.notes for each in observed} == {("there can be no rehearsal copy: the disk is full",)}


def by_name(observed: list[Measurement]) -> dict[str, Measurement]:
    """The measurements by name, without the prefix."""
    return {each.name.removeprefix("quotas."): each for each in observed}


# periods -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("quota", "moment", "start"),
    [
        ("daily_quota", "2026-03-01T00:00:00+00:00", "2026-03-01T00:00:00+00:00"),
        ("daily_quota", "2026-03-01T00:30:00+02:00", "2026-02-28T00:00:00+00:00"),
        ("weekly_quota", "2026-03-01T23:59:59+00:00", "2026-02-23T00:00:00+00:00"),  # a Sunday
        ("weekly_quota", "2026-03-02T00:00:00+00:00", "2026-03-02T00:00:00+00:00"),
        ("monthly_quota", "2026-02-28T23:59:59+00:00", "2026-02-01T00:00:00+00:00"),
        ("monthly_quota", "2026-03-01T00:00:00+00:00", "2026-03-01T00:00:00+00:00"),
    ],
)
def test_periods_are_calendar_periods_in_utc(quota: str, moment: str, start: str) -> None:
    """Periods are a day, a week from Monday, a month."""
    assert calendar_periods.period_start(quota, datetime.fromisoformat(moment)) == datetime.fromisoformat(start)


@pytest.mark.parametrize(
    ("quota", "moment", "end"),
    [
        ("daily_quota", "2026-02-28T23:59:59+00:00", "2026-03-01T00:00:00+00:00"),
        ("weekly_quota", "2026-03-01T23:59:59+00:00", "2026-03-02T00:00:00+00:00"),  # a Sunday
        ("weekly_quota", "2026-03-02T00:00:00+00:00", "2026-03-09T00:00:00+00:00"),
        ("monthly_quota", "2026-01-31T12:00:00+00:00", "2026-02-01T00:00:00+00:00"),
        ("monthly_quota", "2026-02-01T00:00:00+00:00", "2026-03-01T00:00:00+00:00"),
        ("monthly_quota", "2026-12-31T23:59:59+00:00", "2027-01-01T00:00:00+00:00"),
    ],
)
def test_periods_end_where_the_next_ones_start(quota: str, moment: str, end: str) -> None:
    """Months have their own lengths."""
    assert calendar_periods.period_end(quota, datetime.fromisoformat(moment)) == datetime.fromisoformat(end)


@given(st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1)))  # noqa: DTZ001 - made aware below
def test_a_look_begins_away_from_midnight(moment: datetime) -> None:
    """After the wait, a minute of the day is left, and the last midnight is some seconds ago."""
    begins = moment.replace(tzinfo=UTC) + timedelta(seconds=calendar_periods.wait_s(moment.replace(tzinfo=UTC)))
    assert (begins + timedelta(seconds=59)).date() == begins.date()
    assert (begins - timedelta(seconds=5)).date() == begins.date()
    assert begins.replace(tzinfo=None) - moment <= timedelta(seconds=65)


def test_a_look_over_midnight_is_taken_anew() -> None:
    """A run across midnight is discarded and repeated."""
    clock = [datetime(2026, 2, 26, 23, 58, tzinfo=UTC)]
    looked: list[int] = []

    def look() -> int:
        clock[0] += timedelta(minutes=3 if not looked else 1)
        looked.append(len(looked))
        return len(looked)

    def sleep(seconds: float) -> None:
        clock[0] += timedelta(seconds=seconds)

    assert calendar_periods.within_a_day(look, lambda: clock[0], sleep) == 2
