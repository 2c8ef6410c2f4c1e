"""What must appear in nothing that is written, and how it is taken out of a text. Pure."""

import html
import json
import re
from collections.abc import Iterable, Mapping
from functools import cache
from urllib.parse import quote, quote_plus, unquote

SECRET_NAMES = frozenset({"DATABASE_URL", "ADMIN_TOKEN", "ANTHROPIC_API_KEY", "ALERT_URLS", "PGPASSWORD"})
"""Variables whose values are secrets."""

REDACTED = "***"

SHORTEST = 8
"""A shorter text stands in too many words by chance: hiding it would garble every output, and anybody can guess it."""

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
    for form in forms((*more, *secrets_among(variables))):
        text = text.replace(form, REDACTED)
    text = _URL_PASSWORD.sub(rf"\1:{REDACTED}@", text)
    text = _KEYWORD_PASSWORD.sub(rf"\1{REDACTED}", text)
    return _BEARER.sub(rf"\1{REDACTED}", text)


def secrets_among(variables: Mapping[str, str]) -> tuple[str, ...]:
    """Return the secrets among `variables`, longest first: values, URLs, the password in a connection string.

    What is too short to be one is none: `unfit` has it refused.
    """
    found = {variables[name] for name in SECRET_NAMES if variables.get(name)}
    found |= _passwords(variables.get("DATABASE_URL", ""))
    found |= {url.strip() for url in variables.get("ALERT_URLS", "").split(",")}
    return tuple(sorted((secret for secret in found if len(secret) >= SHORTEST), key=len, reverse=True))


def unfit(name: str, value: str) -> str | None:
    """Return why a secret variable's value could not be kept out of what is written, without the value; or None."""
    url = name == "DATABASE_URL"
    subject = "its password" if url else "the value"
    for secret in _read_by_libpq(value) if url else {value}:
        if len(secret) < SHORTEST:
            return f"{subject} is shorter than {SHORTEST} characters, too short for a secret; choose a longer one"
        if not secret.isprintable() or secret != secret.strip():
            return f"{subject} contains a line break, or begins or ends with a space; take that out"
    return None


def contains_password(url: str) -> bool:
    """Return whether a URL names a user with a password or, for http, any user: there a token may be one."""
    return _URL_PASSWORD.search(url) is not None or _HTTP_USER.match(url) is not None


@cache
def forms(secrets: tuple[str, ...]) -> tuple[str, ...]:
    """Return how secrets may be written, longest first: as they are, and escaped for JSON, HTML and URLs."""
    found = {form for secret in secrets for form in (secret, html.escape(secret), html.escape(secret, quote=False))}
    found |= {json.dumps(secret, ensure_ascii=ascii_only)[1:-1] for secret in secrets for ascii_only in (True, False)}
    quoted = {form for secret in secrets for form in (quote(secret), quote(secret, safe=""), quote_plus(secret))}
    found |= quoted | {re.sub("%[0-9A-F]{2}", lambda code: code[0].lower(), form) for form in quoted}
    return tuple(sorted(found, key=len, reverse=True))


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
    if not address:
        return set()
    from psycopg import Error, pq  # noqa: PLC0415 - a command without a connection string needs no libpq

    try:
        options = pq.Conninfo.parse(address.encode())
    except (Error, UnicodeError):
        return set()
    return {option.val.decode() for option in options if option.val and option.dispchar == b"*"}


def _in_keywords(text: str) -> str:
    return text.replace("\\", r"\\").replace("'", r"\'")
