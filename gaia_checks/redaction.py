"""What must appear in nothing that is written, and how it is taken out of a text. Pure."""

import re
from collections.abc import Mapping
from urllib.parse import unquote, urlsplit

SECRET_NAMES = frozenset({"DATABASE_URL", "ADMIN_TOKEN", "ANTHROPIC_API_KEY"})
"""Variables whose values are secrets."""

REDACTED = "***"

_URL_PASSWORD = re.compile(r"(?<=://)([^\s:/@]*):[^\s@/]+@")
_KEYWORD_PASSWORD = re.compile(r"(?i)\b(password\s*=\s*)('[^']*'|[^\s'\"]+)")
_BEARER = re.compile(r"(?i)\b(bearer\s+)[\w.~+/=-]+")


def redact(text: str, variables: Mapping[str, str]) -> str:
    """Return `text` without the secrets among `variables`, and without what looks like one."""
    for secret in secrets_among(variables):
        text = text.replace(secret, REDACTED)
    text = _URL_PASSWORD.sub(rf"\1:{REDACTED}@", text)
    text = _KEYWORD_PASSWORD.sub(rf"\1{REDACTED}", text)
    return _BEARER.sub(rf"\1{REDACTED}", text)


def secrets_among(variables: Mapping[str, str]) -> tuple[str, ...]:
    """Return the secrets among `variables`, longest first: what they hold, and the password in a connection string."""
    found = {variables[name] for name in SECRET_NAMES if variables.get(name)}
    found |= _passwords(variables.get("DATABASE_URL", ""))
    return tuple(sorted(found, key=len, reverse=True))


def holds_password(url: str) -> bool:
    """Return whether a URL names a user with a password."""
    return _URL_PASSWORD.search(url) is not None


def _passwords(url: str) -> set[str]:
    """The password inside a connection string, as it stands there and unquoted."""
    try:
        password = urlsplit(url).password
    except ValueError:
        return set()
    return {password, unquote(password)} if password else set()
