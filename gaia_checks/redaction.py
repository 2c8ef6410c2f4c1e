"""What must appear in nothing that is written, and how it is taken out of a text. Pure."""

import re
from collections.abc import Iterable, Mapping
from urllib.parse import quote, unquote

from psycopg import ProgrammingError, pq

SECRET_NAMES = frozenset({"DATABASE_URL", "ADMIN_TOKEN", "ANTHROPIC_API_KEY", "PGPASSWORD"})
"""Variables whose values are secrets."""

REDACTED = "***"

_URL_PASSWORD = re.compile(r"(?<=://)([^\s:/@]*):[^\s@/]+@")
_HTTP_USER = re.compile(r"(?i)https?://[^/?#]*@")
_KEYWORD_PASSWORD = re.compile(r"(?i)\b((?:ssl)?password\s*=\s*)('[^']*'|[^\s'\"]+)")
_OF_URL = (
    re.compile(r"://[^:/@]*:([^/@]*)@"),
    re.compile(r"://[^:/@]*:(.*)@"),  # where nothing is escaped
    re.compile(r"[?&](?:ssl)?password=([^&]*)"),
)
_OF_KEYWORDS = (
    re.compile(r"\b(?:ssl)?password\s*=\s*'((?:[^'\\]|\\.)*)'"),
    re.compile(r"\b(?:ssl)?password\s*=\s*(?!')((?:[^\s\\]|\\.)+)"),
)
_BEARER = re.compile(r"(?i)\b(bearer\s+)[\w.~+/=-]+")


def redact(text: str, variables: Mapping[str, str], more: Iterable[str] = ()) -> str:
    """Return `text` without the secrets among `variables`, without `more` of them, and without what looks like one."""
    for secret in (*more, *secrets_among(variables)):
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
    """Return whether a URL names a user with a password or, for http, any user: there a token may be one."""
    return _URL_PASSWORD.search(url) is not None or _HTTP_USER.match(url) is not None


def _passwords(address: str) -> set[str]:
    """The passwords inside a connection string: as they stand there, as libpq reads them, and escaped anew.

    Patterns find them also in a string that libpq refuses.
    """
    url = re.match(r"\w+://", address) is not None
    found = {text for shape in (_OF_URL if url else _OF_KEYWORDS) for text in shape.findall(address)}
    plain = {unquote(text) if url else re.sub(r"\\(.)", r"\1", text) for text in found}
    plain |= _read_by_libpq(address)
    escaped = {form for text in plain for form in (quote(text), quote(text, safe=""), _in_keywords(text))}
    return (found | plain | escaped) - {""}


def _read_by_libpq(address: str) -> set[str]:
    try:
        options = pq.Conninfo.parse(address.encode())
    except (ProgrammingError, UnicodeError):
        return set()
    return {option.val.decode() for option in options if option.val and option.dispchar == b"*"}


def _in_keywords(text: str) -> str:
    return text.replace("\\", r"\\").replace("'", r"\'")
