"""Connection strings x commands: whatever libpq accepts works in each of them, and no output contains its password."""

import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest
from psycopg import sql

from gaia_checks.deploy.migrations import restore, round_trip, runner
from gaia_checks.deploy.postgres import database_connection, dsn, postgres_dump
from gaia_checks.deploy.postgres.embedded import Cluster
from gaia_checks.deploy.steps import preflight, swap
from gaia_checks.deploy.supervisor.spawn import free_port
from gaia_checks.environment import environment_file, process_variables
from gaia_checks.environment.environment import Environment
from gaia_checks.errors import ConfigurationError, MissingVariable
from gaia_checks.redaction import redact
from gaia_server import settings

PASSWORD = "canary#1?2[x]#&'\\ é"
IN_URL = "canary#1?2[x]%23&'\\%20é"
IN_KEYWORDS = "'canary#1?2[x]#&\\'\\\\ é'"
NAMED = {
    "path": "postgresql://tricky:{url}@127.0.0.1:{port}/{db}",
    "short scheme": "postgres://tricky:{url}@127.0.0.1:{port}/{db}?sslmode=disable",
    "query": "postgresql://127.0.0.1:{port}/?dbname={db}&user=tricky&password={quoted}",
    "keyword in disguise": "postgresql://tricky@127.0.0.1:{port}/{db}?pass%77ord={quoted}",
    "socket folder": "postgresql:///{db}?host={folder}&port={port}&user=tricky&password={quoted}",
    "socket folder in the authority": "postgresql://tricky:{url}@{encoded}:{port}/{db}",
    "IPv6": "postgresql://tricky:{url}@[::1]:{port}/{db}",
    "list": "postgresql://tricky:{url}@127.0.0.1:1,127.0.0.1:{port}/{db}?target_session_attrs=read-write",
    "list in the query": "postgresql://tricky:{url}@/{db}?host=127.0.0.1,127.0.0.1&port=1,{port}",
    "options": "postgresql://tricky:{url}@127.0.0.1:{port}/{db}?options=-c%20jit%3Doff&application_name=x",
    "keywords": "host=127.0.0.1 port={port} user=tricky password={keywords} dbname='{db}' options='-c jit=off'",
    "spaced keywords": " host = '127.0.0.1'  port={port} user=tricky password = {keywords} dbname = {db} ",
    "service": "service=gaia",
    "service and password": "postgresql://tricky:{url}@/{db}?service=gaia",
}
UNNAMED = {
    "nothing": "",
    "no name": "postgresql://tricky:{url}@127.0.0.1:{port}",
    "no name in keywords": "host=127.0.0.1 port={port} user=tricky password={keywords}",
}


@dataclass(frozen=True)
class Place:
    """A PostgreSQL that requires a password, and the folder of its socket."""

    admin: str
    folder: Path
    port: int

    def written(self, form: str, database: str) -> str:
        """Return a connection string."""
        folder = str(self.folder)
        return form.format(
            port=self.port, db=database, folder=folder, encoded=quote(folder, safe=""),
            url=IN_URL, keywords=IN_KEYWORDS, quoted=quote(PASSWORD),
        )  # fmt: skip


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    """Start a PostgreSQL that listens on TCP and requires a password of everybody but its administrator."""
    home, port = Path(tempfile.mkdtemp(prefix="gaia-pg-")), free_port()
    home.chmod(0o711)
    cluster = Cluster(home / "pg", settings={"fsync": "off", "listen_addresses": "127.0.0.1,::1", "port": str(port)})
    admin = f"host={cluster.socket_folder} port={port} user=postgres dbname=postgres"
    try:
        cluster.start()
        (cluster.folder / "data" / "pg_hba.conf").write_text(
            "local all postgres trust\nlocal all all scram-sha-256\nhost all all all scram-sha-256\n"
        )
        with psycopg.connect(admin, autocommit=True) as connection:
            connection.execute("SELECT pg_reload_conf()")
            connection.execute(sql.SQL("CREATE ROLE tricky LOGIN CREATEDB PASSWORD {}").format(PASSWORD))
        yield Place(admin, cluster.socket_folder, port)
    finally:
        cluster.stop()
        shutil.rmtree(home)


@pytest.fixture
def migrations(tmp_path: Path) -> Path:
    """Write one migration and its rollback file."""
    folder = tmp_path / "migrations"
    (folder / "rollback").mkdir(parents=True)
    (folder / "order.txt").write_text("001_items.sql\n")
    (folder / "001_items.sql").write_text("CREATE TABLE items (id int PRIMARY KEY);\n")
    (folder / "rollback" / "001_items.sql").write_text("DROP TABLE items;\n")
    return folder


def environment(folder: Path, address: str | None) -> Environment:
    """Return an external environment on the database of `address`."""
    file = folder / "there.toml"
    file.write_text(
        '[environment]\nstage = "dev"\ndatabase = "external"\nhost = "127.0.0.1"\n'
        f'[environment.defaults]\nPORT = "{free_port()}"\n'
    )
    given = {"DATABASE_URL": address} if address else {}
    return environment_file.load(
        str(file), variables={**process_variables.of_libpq(), "GAIA_HOME": str(folder), **given}
    )


def serve(there: Environment, address: str, name: str) -> None:
    """Connect as the server does: a process of its own, with the variables that it gets."""
    program = "import os, psycopg; print(psycopg.connect(os.environ['DATABASE_URL']).info.dbname)"
    given = {**swap.variables(there), "DATABASE_URL": address}
    done = subprocess.run((sys.executable, "-c", program), env=given, capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.stderr) == (name, "")
    assert settings.read(given).database_url == address


def run_everything(there: Environment, name: str, migrations: Path, folder: Path) -> None:
    """Run what commands do with a connection string; each step reaches the database `name` or a scratch database."""
    preflight.validate(there, artifact=None, migrations=migrations, worktree=True)
    address = dsn.environment_database(there)
    database_connection.ensure_exists(address)
    assert round_trip.tried(there, migrations) == ()
    assert runner.up(address, migrations) == ("001_items",)
    runner.verify(address, migrations)
    with database_connection.connect(address) as connection:
        assert connection.execute("SELECT current_database(), current_user").fetchone() == (name, "tricky")
        connection.execute("INSERT INTO items VALUES (7)")
    postgres_dump.write(address, ("items", "schema_migrations"), folder / "dumps" / "one.dump")
    with database_connection.connect(address) as connection:
        connection.execute("DELETE FROM items")
    restore.restore(address, restore.objects(address), migrations, folder / "dumps" / "one.dump")
    with database_connection.connect(address) as connection:
        assert connection.execute("SELECT id FROM items").fetchall() == [(7,)]
    serve(there, address, name)
    other = dsn.renamed(address, "other")
    with database_connection.connect_maintenance(address) as connection:
        connection.execute("DROP DATABASE IF EXISTS other WITH (FORCE)")
        connection.execute("CREATE DATABASE other")
    serve(there, other, "other")
    shown = database_connection.whereabouts(address) or ""
    assert shown.startswith(f"{name} on ")
    assert "canary" not in there.redact(f"refused: {address} {other} {shown}")


@pytest.fixture
def services(place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Write a service file that names the database `served`."""
    file = tmp_path / "services"
    file.write_text(
        f"[gaia]\nhost=127.0.0.1\nport={place.port}\nuser=tricky\npassword={PASSWORD}\ndbname=served\n",
    )
    monkeypatch.setenv("PGSERVICEFILE", str(file))


@pytest.mark.usefixtures("services")
@pytest.mark.parametrize("form", NAMED.values(), ids=NAMED.keys())
def test_a_connection_string_works_in_every_command(form: str, place: Place, tmp_path: Path, migrations: Path) -> None:
    """However the database, the host and the password are written, every command reaches that database."""
    name = "served" if form == "service=gaia" else f"t_{secrets.token_hex(4)}"
    run_everything(environment(tmp_path, place.written(form, name)), name, migrations, tmp_path)


@pytest.mark.parametrize("form", [form for form in NAMED.values() if "{" in form])
def test_no_spelling_of_the_password_is_displayed(form: str, place: Place, tmp_path: Path) -> None:
    """It is hidden as it stands in the connection string, unescaped, and escaped in another way."""
    there = environment(tmp_path, place.written(form, "x"))
    address = there.values["DATABASE_URL"]
    for text in (address, address[3:], PASSWORD, IN_KEYWORDS, quote(PASSWORD), quote(PASSWORD, safe="")):
        assert "canary" not in there.redact(f"refused: {text}")


@pytest.mark.parametrize("form", UNNAMED.values(), ids=UNNAMED.keys())
def test_what_is_not_named_is_what_libpq_supplies(
    form: str, place: Place, tmp_path: Path, migrations: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PGDATABASE and the other variables of libpq apply in every command, and in the server."""
    name = f"t_{secrets.token_hex(4)}"
    own = {"PGDATABASE": name, "PGHOST": "127.0.0.1", "PGPORT": str(place.port), "PGUSER": "tricky"}
    for variable, value in {**own, "PGPASSWORD": PASSWORD}.items():
        monkeypatch.setenv(variable, value)
    written = place.written(form, "") or "postgresql://"
    run_everything(environment(tmp_path, written), name, migrations, tmp_path)


def test_the_default_name_is_the_users(place: Place) -> None:
    """Without any name libpq connects to the database that is called like the user."""
    assert database_connection.database_name(place.written(UNNAMED["no name"], "")) == "tricky"


@pytest.mark.parametrize(
    ("form", "why"),
    [
        ("postgresql://tricky:{url}@127.0.0.1:{port}/x?sslpassword=canary-3e0", "sslpassword cannot be passed to"),
        ("postgresql://tricky:can-77cf/ary@127.0.0.1:{port}/x", "not a connection string"),
        ("postgresql://tricky:can-77cf@ary@127.0.0.1:{port}/x", "not a connection string"),
        ("postgresql://tricky:{url}@127.0.0.1:{port}/x?no_such=option", "not a connection string"),
        ("tricky:{url}", "not a connection string"),
        ("host=127.0.0.1 password='canary", "not a connection string"),
        ("service=no_such", "the database does not answer: .*definition of service"),
        (
            "postgresql://tricky:{url}@127.0.0.1:{port}/x?sslmode=canary-of-mode",
            "the database does not answer: .*invalid",
        ),
    ],
)
@pytest.mark.usefixtures("services")
def test_what_cannot_work_everywhere_is_refused_before_anything_is_created(
    form: str, why: str, place: Place, tmp_path: Path, migrations: Path
) -> None:
    """Preflight refuses in one line, without the password."""
    there = environment(tmp_path, place.written(form, "x"))
    with pytest.raises(ConfigurationError, match=why) as caught:
        preflight.validate(there, artifact=None, migrations=migrations, worktree=True)
    message = str(caught.value)
    assert "\n" not in message
    assert not {"can-77cf/ary", "can-77cf@ary", "ary@", "canary#", "canary-3"} & {
        part for part in message.split() if "ary" in part
    }
    with psycopg.connect(place.admin) as connection:
        assert not connection.execute("SELECT FROM pg_database WHERE datname = 'x'").fetchall()


def test_an_external_database_without_a_connection_string_is_refused(tmp_path: Path, migrations: Path) -> None:
    """A missing DATABASE_URL is an error of the preflight, also where the file does not require it."""
    with pytest.raises(MissingVariable, match=r"there: DATABASE_URL not set; .*export DATABASE_URL="):
        preflight.validate(environment(tmp_path, None), artifact=None, migrations=migrations, worktree=True)


def test_a_password_of_libpqs_variables_is_a_secret(tmp_path: Path) -> None:
    """PGPASSWORD is hidden like the password in DATABASE_URL."""
    environment(tmp_path, "postgresql://h/db")
    there = environment_file.load(str(tmp_path / "there.toml"), variables={"PGPASSWORD": "canary-7"})
    assert there.redact("got canary-7") == "got ***"
    assert redact("got canary-7", {"PGPASSWORD": "canary-7"}) == "got ***"
