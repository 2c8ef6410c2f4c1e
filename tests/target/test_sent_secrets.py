"""The secrets that a server received, and their discovery in a text."""

import pytest

from gaia_checks.target import sent_secrets
from tests.probes.servers import target

TARGET = target(
    "http://127.0.0.1:9",
    admin_token="a token/with slash",
    database_url="postgresql://gaia:pass-word-1@db/gaia",
    secrets=("postgresql://gaia:pass-word-1@db/gaia", "pass-word-1", "short"),
)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("Authorization: Bearer a token/with slash", "the admin token"),
        ("GET /?token=a%20token%2Fwith+slash a+token%2Fwith+slash", "the admin token"),
        ("connected to postgresql://gaia:pass-word-1@db/gaia", "secret 2 of the environment"),
        ("connected to postgresql://gaia@db/gaia", None),
        ("a short token", None),
        (f"wrong: {sent_secrets.made_up(TARGET, sent_secrets.WRONG_TOKEN)}", sent_secrets.WRONG_TOKEN),
    ],
)
def test_a_secret_is_found_in_every_form(text: str, what: str | None) -> None:
    """As it is or escaped; an address without a password, and a word too short for a secret, are none."""
    secrets = sent_secrets.never_logged(TARGET)
    assert sent_secrets.found_in(text, secrets) == what
    assert sent_secrets.found_in(sent_secrets.hidden(text, secrets), secrets) is None
