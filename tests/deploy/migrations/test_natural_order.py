"""The order of migrations without order.txt: by number, or a refusal that says what to write."""

import pytest

from gaia_checks.deploy.migrations.natural_order import sort
from gaia_checks.errors import MigrationError


@pytest.mark.parametrize(
    "ordered",
    [
        ["1_items", "2_users", "10_index"],
        ["0001", "0002", "0010"],
        ["V1__items", "V2__users", "V10__index"],
        ["20240131120000_items", "20240131120001_users"],
        ["001_x2", "002_x1"],
        ["items"],
        [],
    ],
)
def test_numbers_order_the_files(ordered: list[str]) -> None:
    """Whatever the order in which a folder lists them."""
    assert sort(ordered) == sort(ordered[::-1]) == ordered


@pytest.mark.parametrize(
    ("stems", "message"),
    [
        (["050_a", "050_b", "051_c"], r"050_a\.sql and 050_b\.sql have the same number"),
        (["1_a", "01_b"], r"01_b\.sql and 1_a\.sql have the same number"),
        (["001_items.up", "001_items.down"], r"001_items\.down\.sql and 001_items\.up\.sql have the same number"),
        (["001_items", "users"], r"users\.sql has no number to order it by"),
        (["V1__items", "R2__view"], r"names start with 'R' and with 'V'"),
    ],
)
def test_what_numbers_do_not_determine_is_refused(stems: list[str], message: str) -> None:
    """The line names the files, and a command that writes order.txt."""
    command = r"\(cd migrations && ls \*\.sql \| sort -V > order\.txt\), and check the order of its lines$"
    with pytest.raises(MigrationError, match=rf"^migrations: no order\.txt, and {message}; write it {command}"):
        sort(stems)
