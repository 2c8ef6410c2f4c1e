"""The account that owns an embedded PostgreSQL's databases: everything runs as it, so that nothing is a superuser."""

import psycopg

from gaia_checks.deploy.postgres.database_connection import message
from gaia_checks.errors import DeployError

OWNER = "gaia"
SUPERUSER = "postgres"

_CREATE_ROLE = f"CREATE ROLE {OWNER} LOGIN CREATEDB"
_OF_SUPERUSER = """
    SELECT format('ALTER DATABASE %I OWNER TO gaia', datname), datname::text FROM pg_database
    WHERE datdba = 'postgres'::regrole AND NOT datistemplate AND datname <> 'postgres'
"""
_HAND_OVER = """
DO $$ DECLARE command text; BEGIN
    FOR command IN
        SELECT format('ALTER TABLE %s OWNER TO gaia', c.oid::regclass) FROM pg_class c
            WHERE relnamespace = 'public'::regnamespace AND (relkind IN ('r', 'p', 'v', 'm', 'f') OR relkind = 'S'
            AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.deptype IN ('a', 'i')))
        UNION ALL SELECT format('ALTER ROUTINE %s OWNER TO gaia', oid::regprocedure) FROM pg_proc
            WHERE pronamespace = 'public'::regnamespace
        UNION ALL SELECT format('ALTER TYPE %s OWNER TO gaia', t.oid::regtype) FROM pg_type t
            WHERE typnamespace = 'public'::regnamespace AND typtype IN ('c', 'd', 'e', 'r')
            AND NOT EXISTS (SELECT FROM pg_class c WHERE c.oid = t.typrelid AND c.relkind <> 'c')
    LOOP EXECUTE command; END LOOP;
END $$
"""


def prepare(address: str) -> None:
    """Create the owner if it does not exist, and hand over what the superuser owned before there was an owner.

    `address` is that of the superuser, without a database. Raises DeployError.
    """
    try:
        with psycopg.connect(address, dbname="postgres", autocommit=True) as admin:
            if not admin.execute("SELECT FROM pg_roles WHERE rolname = %s", (OWNER,)).rowcount:
                admin.execute(_CREATE_ROLE.encode())
            for command, name in admin.execute(_OF_SUPERUSER.encode()).fetchall():
                with psycopg.connect(address, dbname=name) as database:
                    database.execute(_HAND_OVER.encode())
                    database.execute(command)
    except psycopg.Error as error:
        raise DeployError(
            f"the account {OWNER} of the embedded PostgreSQL cannot be prepared: {message(error)}"
        ) from error
