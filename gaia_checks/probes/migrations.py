"""Whether the schema matches the release's migrations."""

from collections.abc import Mapping

import psycopg

from gaia_checks.model import Measurement, Target
from gaia_checks.target import postgres_session
from gaia_checks.target.samples import Score, Watch
from gaia_checks.target.unobservable import HERE, cannot_observe

_NAMES = ("applied", "unknown", "tables", "indexes", "invalid_indexes")

_TABLES = """
    SELECT count(*) FROM pg_class c JOIN pg_namespace s ON s.oid = c.relnamespace
    WHERE s.nspname = 'public' AND c.relkind IN ('r', 'p') AND NOT c.relispartition
      AND c.relname <> 'schema_migrations'
"""
_INDEXES = """
    SELECT c.relname, i.indisvalid AND i.indisready
    FROM pg_index i
    JOIN pg_class c ON c.oid = i.indexrelid
    JOIN pg_class t ON t.oid = i.indrelid
    JOIN pg_namespace s ON s.oid = t.relnamespace
    WHERE s.nspname = 'public' AND NOT c.relispartition AND t.relname <> 'schema_migrations'
    ORDER BY c.relname
"""
_ROWS = "SELECT version, checksum FROM public.schema_migrations"


def probe(target: Target) -> list[Measurement]:
    """Compare `schema_migrations` with the release, and count tables and indexes of the schema `public`."""
    watch = Watch()
    try:
        with postgres_session.session(target) as session:
            return [*_migrations(session, target, watch), *_schema(session, watch)]
    except postgres_session.NoSession as error:
        return [
            watch.measurement(f"migrations.{name}", 0, "count", 0, "the target's database", (str(error),))
            for name in _NAMES
        ]


def _migrations(session: psycopg.Connection, target: Target, watch: Watch) -> list[Measurement]:
    if target.release is None:
        why = (cannot_observe(target, "which migrations the release has", HERE),)
        return [watch.measurement(f"migrations.{name}", 0, "count", 0, "schema_migrations", why) for name in _NAMES[:2]]
    released = target.release.migrations
    rows = _rows(session)
    unknown = sorted(rows.keys() - released.keys())
    notes = [f"{version} is applied but not part of {target.release.phase}" for version in unknown]
    return [
        watch.counted("migrations.applied", _applied(released, rows), "the release's files among schema_migrations"),
        watch.measurement("migrations.unknown", len(unknown), "count", 1, "schema_migrations without a file", notes),
    ]


def _applied(released: Mapping[str, str], rows: Mapping[str, str]) -> Score:
    tally = Score()
    for version, checksum in released.items():
        if version not in rows:
            tally.add(f"{version} is not applied")
        else:
            tally.add(
                None if rows[version] == checksum else f"{version} was applied from another file (checksum differs)"
            )
    return tally


def _rows(session: psycopg.Connection) -> dict[str, str]:
    """Return version -> checksum; empty without the table."""
    try:
        return dict(session.execute(_ROWS).fetchall())
    except psycopg.errors.UndefinedTable:
        return {}


def _schema(session: psycopg.Connection, watch: Watch) -> list[Measurement]:
    tables = session.execute(_TABLES).fetchone()
    indexes = session.execute(_INDEXES).fetchall()
    invalid = [name for name, usable in indexes if not usable]
    how = "of the schema public, without schema_migrations"
    return [
        watch.measurement("migrations.tables", tables[0] if tables else 0, "count", 1, f"tables {how}"),
        watch.measurement("migrations.indexes", len(indexes) - len(invalid), "count", 1, f"valid indexes {how}"),
        watch.measurement("migrations.invalid_indexes", len(invalid), "count", 1, f"invalid indexes {how}", invalid),
    ]
