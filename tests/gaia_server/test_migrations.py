"""The schema: its objects, its constraints and its rollback."""

import psycopg
import pytest

from tests.gaia_server.conftest import MIGRATIONS, migration_files

_OBJECTS = """
    SELECT relname::text FROM pg_class WHERE relnamespace = 'public'::regnamespace
    UNION ALL SELECT proname::text FROM pg_proc WHERE pronamespace = 'public'::regnamespace
    UNION ALL SELECT typname::text FROM pg_type WHERE typnamespace = 'public'::regnamespace
"""


def test_rollback_leaves_nothing(schema: str) -> None:
    """Each rollback drops exactly the objects of its migration."""
    with psycopg.connect(schema) as connection:
        for name in reversed(migration_files()):
            connection.execute((MIGRATIONS / "rollback" / name).read_bytes())
        assert connection.execute(_OBJECTS).fetchall() == []


def test_indexes(schema: str) -> None:
    """At least 7 tables and 18 valid indexes exist."""
    with psycopg.connect(schema) as connection:
        (tables,) = connection.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone() or ()
        (indexes,) = (
            connection.execute(
                "SELECT count(*) FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid"
                " WHERE indisvalid AND relnamespace = 'public'::regnamespace"
            ).fetchone()
            or ()
        )
    assert tables >= 7
    assert indexes >= 18


@pytest.mark.parametrize(
    ("columns", "constraint"),
    [
        ("'a', 'planet', NULL, 'daily_quota', 1", "rate_limit_configs_scope_check"),
        ("'a', 'global', 'x', 'daily_quota', 1", "rate_limit_configs_scope_value_check"),
        ("'a', 'ip', NULL, 'yearly_quota', 1", "rate_limit_configs_limit_type_check"),
        ("'a', 'ip', NULL, 'daily_quota', -1", "rate_limit_configs_limit_value_check"),
        ("'a\"b', 'ip', NULL, 'daily_quota', 1", "rate_limit_configs_rule_name_check"),
        ("'default-ip-second', 'ip', NULL, 'daily_quota', 1", "rate_limit_configs_rule_name_key"),
    ],
)
def test_constraints(schema: str, columns: str, constraint: str) -> None:
    """The database refuses an invalid rule, whichever program inserts it."""
    names = "rule_name, scope, scope_value, limit_type, limit_value"
    assert violated(schema, f"INSERT INTO rate_limit_configs ({names}) VALUES ({columns})") == constraint


def violated(schema: str, statement: str) -> str | None:
    """Return the name of the constraint that refuses a statement."""
    with psycopg.connect(schema) as connection, pytest.raises(psycopg.errors.IntegrityError) as caught:
        connection.execute(statement)
    return caught.value.diag.constraint_name


@pytest.mark.parametrize(
    ("columns", "constraint"),
    [
        ("'a', 'weather', NULL, 1, 1", "rate_limit_alert_rules_metric_check"),
        ("'a', 'memory_mb', 1, 1, 1", "rate_limit_alert_rules_rule_id_check"),
        ("'a', 'memory_mb', NULL, 1, 2", "rate_limit_alert_rules_threshold_check"),
        ("'memory', 'memory_mb', NULL, 1, 1", "rate_limit_alert_rules_name_key"),
    ],
)
def test_constraints_of_alert_rules(schema: str, columns: str, constraint: str) -> None:
    """The database refuses an invalid alert rule, whichever program inserts it."""
    names = "name, metric, rule_id, threshold, clear_threshold"
    assert violated(schema, f"INSERT INTO rate_limit_alert_rules ({names}) VALUES ({columns})") == constraint


@pytest.mark.parametrize(
    ("score", "vip", "tier", "factor"),
    [
        (0, False, "flagged", 0.5),
        (19, False, "flagged", 0.5),
        (20, False, "standard", 1),
        (79, False, "standard", 1),
        (80, False, "trusted", 1.5),
        (100, False, "trusted", 1.5),
        (5, True, "vip", 2),
    ],
)
def test_tiers(schema: str, score: int, vip: bool, tier: str, factor: float) -> None:
    """A score determines the tier, and the tier the factor."""
    with psycopg.connect(schema) as connection:
        row = connection.execute(
            "INSERT INTO reputation_scores (key, score, vip) VALUES ('ip:x', %s, %s)"
            " RETURNING tier, reputation_factor(tier)::float",
            (score, vip),
        ).fetchone()
    assert row == (tier, factor)
