"""Whether the schema matches the release's migrations."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import replace

import psycopg

from gaia_checks.errors import GaiaError
from gaia_checks.model import NOT_CHECKED, Measurement, Target
from gaia_checks.probes import schema_objects
from gaia_checks.target import postgres_session
from gaia_checks.target.samples import Score, Watch
from gaia_checks.target.unobservable import HERE, cannot_observe

_NAMES = ("applied", "unknown", "tables", "indexes", "invalid_indexes", "objects")

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


def probe(target: Target, *, released: AbstractContextManager[str]) -> list[Measurement]:
    """Compare `schema_migrations` with the release, and every object of the schema `public` with a database of its own.

    `released` gives the address of that database, made from the release's files alone, or raises GaiaError.
    """
    watch = Watch()
    try:
        with postgres_session.session(target) as session:
            return [
                *_migrations(session, target, watch),
                *_schema(session, watch),
                _objects(session, target, released, watch),
            ]
    except postgres_session.NoSession as error:
        return [
            watch.measurement(f"migrations.{name}", 0, "count", 0, "the target's database", (str(error),))
            for name in _NAMES
        ]


def _objects(
    session: psycopg.Connection, target: Target, released: AbstractContextManager[str], watch: Watch
) -> Measurement:
    """Compare with the release's own schema. Where that cannot be made, nothing is compared, and the note says why."""
    how = "tables, columns, constraints, indexes, triggers and functions as in a database made from the release's files"
    tally = Score()
    try:
        with released as address, postgres_session.session(replace(target, database_url=address)) as own:
            if (theirs := _major(session)) != (ours := _major(own)):
                why = f"{NOT_CHECKED}the release's schema was made on PostgreSQL {ours}, the target has {theirs}"
                return watch.measurement("migrations.objects", 0, "count", 0, how, (why,))
            for sample in schema_objects.compared(schema_objects.read(own), schema_objects.read(session)):
                tally.add(sample)
            for fault in schema_objects.unindexed(own):
                tally.add(fault)
    except (GaiaError, postgres_session.NoSession) as error:
        return watch.measurement("migrations.objects", 0, "count", 0, how, (f"{NOT_CHECKED}{error}",))
    return watch.counted("migrations.objects", tally, how)


def _major(session: psycopg.Connection) -> int:
    return session.info.server_version // 10_000


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
