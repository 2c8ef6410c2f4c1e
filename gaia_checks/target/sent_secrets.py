"""The secrets of which the gate knows that the server received them: its own, and made-up ones. Finds them in texts."""

import hashlib
from collections.abc import Mapping

from gaia_checks.model import Target
from gaia_checks.redaction import REDACTED, forms

_ENOUGH = 8  # a shorter text stands in too many words by chance


def made_up(target: Target, what: str) -> str:
    """Return a text of this run that looks like a secret, and opens nothing. Pure."""
    return hashlib.sha256(f"{target.run} {what}".encode()).hexdigest()[:32]


WRONG_TOKEN = "a wrong admin token"  # noqa: S105 - what it is
URL_PASSWORD = "a password in a URL"  # noqa: S105 - what it is
UNKNOWN_KEY = "an API key without a rule"


def real(target: Target) -> Mapping[str, str]:
    """Return what -> secret, of the secrets that the server was started with. No response may show them.

    The connection string of a database is none: its password is in `target.secrets` by itself.
    """
    others = {f"secret {number} of the environment": one for number, one in enumerate(target.secrets, 1)}
    named = {"the admin token": target.admin_token, **others}
    return {
        what: secret
        for what, secret in named.items()
        if secret and len(secret) >= _ENOUGH and not secret.startswith(("postgresql://", "postgres://"))
    }


def never_logged(target: Target) -> Mapping[str, str]:
    """Return what -> secret, of everything that was sent and that neither the log nor the metrics may contain."""
    made = {what: made_up(target, what) for what in (WRONG_TOKEN, URL_PASSWORD, UNKNOWN_KEY)}
    return {**real(target), **made}


def found_in(text: str, secrets: Mapping[str, str]) -> str | None:
    """Return which secret a text contains, as it is or escaped; None without one. Pure."""
    return next((what for what, secret in secrets.items() if any(form in text for form in forms((secret,)))), None)


def hidden(text: str, secrets: Mapping[str, str]) -> str:
    """Return the text without the secrets. Pure."""
    for form in forms(tuple(secrets.values())):
        text = text.replace(form, REDACTED)
    return text
