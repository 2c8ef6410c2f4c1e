"""Notes on unobservable subjects have one wording."""

from gaia_checks.target import unobservable
from tests.probes.servers import target


def test_a_note_says_what_which_setting_shows_it_and_why() -> None:
    """The setting comes first, with the environment's file and name, since long notes are cut at the end."""
    note = unobservable.cannot_observe(
        target("http://x"), "the server's log", unobservable.LOG, unobservable.HERE, why="it is gone"
    )
    assert note == (
        'the server\'s log cannot be observed from here: set log = "/file" or '
        'log = "ssh://user@host/file" in test.toml, '
        "or run the gate on the machine where `gaia deploy test` started the server (same GAIA_HOME and GAIA_LOG_DIR); "
        "it is gone"
    )


def test_braces_in_a_reason_are_no_places_to_fill() -> None:
    """Braces in a reason, which quotes the server, are not expanded."""
    assert unobservable.cannot_observe(target("http://x"), "it", unobservable.DATABASE, why="{name}").endswith(
        "; {name}"
    )
    assert "expose m1 and m2 in GET /metrics (" in unobservable.cannot_observe(
        target("http://x"), "it", unobservable.METRIC, metric="m1 and m2"
    )
