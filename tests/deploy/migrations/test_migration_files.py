"""A folder of migrations: order.txt names each of its files once, and nothing else; without it their numbers do."""

import os
from pathlib import Path

import pytest

from gaia_checks.deploy.migrations.migration_files import note, read
from gaia_checks.errors import MigrationError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two migrations, the second with a rollback file, beside a file outside the folder."""
    (tmp_path / "outside.sql").write_text("SELECT 1;")
    made = tmp_path / "migrations"
    (made / "rollback").mkdir(parents=True)
    (made / "010_b.sql").write_text("SELECT 1;")
    (made / "010_a.sql").write_text("SELECT 1;")
    (made / "rollback" / "010_a.sql").write_text("SELECT 1;")
    (made / "order.txt").write_text("# why\n010_b.sql\n\n010_a  # needs b\n")
    return made


def test_migrations_are_read_in_the_order_of_order_txt(folder: Path) -> None:
    """Comments, empty lines and a missing suffix are accepted."""
    assert [(one.version, one.rollback) for one in read(folder)] == [("010_b", None), ("010_a", b"SELECT 1;")]


@pytest.mark.parametrize(
    ("order", "message"),
    [
        ("010_b.sql\n", r"010_a\.sql is missing; add it at its position in the order"),
        ("010_b\n010_a\n020_gone", r"names 020_gone\.sql, which cannot be read"),
        ("010_b\n010_a\n010_b\n", "lists 010_b twice; keep the first entry"),
        ("010_b\n010_a\n010_b.sql\n", "lists 010_b twice; keep the first entry"),
    ],
)
def test_order_and_files_must_agree(folder: Path, order: str, message: str) -> None:
    """order.txt must list every file once, and every entry needs a file."""
    (folder / "order.txt").write_text(order)
    with pytest.raises(MigrationError, match=message):
        read(folder)


def test_without_order_txt_the_numbers_of_the_files_order_them(folder: Path) -> None:
    """2 comes before 10; the note names the order that was taken, and a file of another kind is none of them."""
    assert note(folder) is None
    (folder / "order.txt").unlink()
    (folder / "010_b.sql").rename(folder / "2_b.sql")
    (folder / "README.md").write_text("what this is")
    assert [(one.version, one.rollback) for one in read(folder)] == [("2_b", None), ("010_a", b"SELECT 1;")]
    assert note(folder) == "migrations: no order.txt; in the order of their numbers: 2_b, 010_a"


def test_an_order_that_the_numbers_do_not_determine_is_refused(folder: Path) -> None:
    """The refusal names the command that writes order.txt."""
    (folder / "order.txt").unlink()
    with pytest.raises(
        MigrationError, match=r"no order\.txt, and 010_a\.sql and 010_b\.sql have the same number; write"
    ):
        read(folder)


@pytest.mark.parametrize("name", ["010 b", ".hidden", "-010", "010_b\x1b[2J"])
def test_without_order_txt_a_strange_name_is_refused_as_well(folder: Path, name: str) -> None:
    """Names only, wherever they come from."""
    (folder / "order.txt").unlink()
    (folder / "010_b.sql").rename(folder / f"{name}.sql")
    with pytest.raises(MigrationError, match=r"'.*' is not a name of letters, digits and _ \. \+ -") as caught:
        read(folder)
    assert str(caught.value).isprintable()


def test_a_folder_without_migrations_needs_an_order_txt(folder: Path) -> None:
    """That there is none is stated, not guessed."""
    for file in (folder / "order.txt", folder / "010_a.sql", folder / "010_b.sql"):
        file.unlink()
    with pytest.raises(
        MigrationError, match=r"order\.txt: cannot be read .*; list the migrations in it, in their order"
    ):
        read(folder)


@pytest.mark.parametrize(
    "name",
    [
        "{outside}", "{outside}.sql", "../outside", "../outside.sql", "rollback/010_a", "./010_b", "..", ".", ".hidden",
        "..\\outside", "C:outside", "010_b\x1b[2J", "010_b\x00", "\ufeff010_b", "010 b", "-010_b", "~root", "*",
    ],
)  # fmt: skip
def test_order_takes_names_of_files_in_the_folder_only(folder: Path, name: str) -> None:
    """A path, or a name that a terminal, a shell or a file system may interpret, is refused in one printable line."""
    name = name.format(outside=folder.parent / "outside")
    (folder / "order.txt").write_text(f"010_b\n010_a\n{name}\n")
    with pytest.raises(MigrationError, match=r"order\.txt: '.*' is not a name of .*, e\.g\. 050_items\.sql$") as caught:
        read(folder)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("name", ["order.txt", "010_b.sql", "rollback/010_a.sql", "rollback/010_b.sql", "rollback"])
@pytest.mark.parametrize("inside", [True, False])
def test_a_symbolic_link_is_refused(folder: Path, name: str, inside: bool) -> None:
    """A link may lead out of the commit, and a release of a tag has none: it is refused wherever it points to."""
    link = folder / name
    target = (folder if inside else folder.parent) / "target"
    link.rename(target) if link.exists() else target.write_text("SELECT 2;")
    link.symlink_to(target)
    with pytest.raises(MigrationError, match=rf"{name}: a symbolic link; replace it by the (file|folder) itself$"):
        read(folder)


def test_a_link_to_nothing_is_no_missing_rollback_file(folder: Path) -> None:
    """A dangling link is refused, too."""
    (folder / "rollback" / "010_b.sql").symlink_to(folder / "nowhere")
    with pytest.raises(MigrationError, match=r"rollback/010_b\.sql: a symbolic link"):
        read(folder)


@pytest.mark.parametrize("name", ["010_b.sql", "rollback/010_a.sql"])
def test_only_regular_files_are_read(folder: Path, name: str) -> None:
    """A pipe or a folder is refused; reading a pipe would wait forever."""
    (folder / name).unlink()
    os.mkfifo(folder / name)
    with pytest.raises(MigrationError, match=rf"{name}.* not a file"):
        read(folder)


@pytest.mark.parametrize("name", ["010_b.sql", "rollback/010_a.sql"])
@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"SELECT 1;\0DROP TABLE b;", "contains a NUL byte, where PostgreSQL stops reading; remove it"),
        (b"\xef\xbb\xbfSELECT 1;", "starts with a byte order mark; save it as UTF-8 without one"),
        (b"SELECT '\xe9';", "not UTF-8; save it as UTF-8"),
    ],
)
def test_a_file_that_cannot_be_applied_as_written_is_refused(
    folder: Path, name: str, body: bytes, message: str
) -> None:
    """What PostgreSQL would read differently is refused before anything runs."""
    (folder / name).write_bytes(body)
    with pytest.raises(MigrationError, match=f"^{name}: {message}$"):
        read(folder)
