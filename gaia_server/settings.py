"""The server's settings, from environment variables. An invalid value is refused before anything starts."""

import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import psycopg
from psycopg.conninfo import conninfo_to_dict

DEFAULT_PORT = 8080
MINIMUM_TOKEN_LENGTH = 8
EXPOSED_TOKEN_LENGTH = 16
"""The shortest token of a server that other machines reach."""

DEFAULT_RETENTION_DAYS = 90
MAX_RETENTION_DAYS = 3650
DEFAULT_RETENTION_INTERVAL_S = 60
MAX_RETENTION_INTERVAL_S = 86_400
FEATURES = ("CLAUDE_CONFIRM_AI_ENABLED", "ENABLE_PATTERN_LEARNING", "ENABLE_AI_FALLBACK")
"""Switches of other features: validated and reported here, used elsewhere."""

ON_DB_DOWN = ("deny", "allow")
"""How to treat a request that cannot be decided because the database is unavailable."""

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class SettingsError(Exception):
    """A variable is missing or invalid; the message names it and the expected value, never a secret."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The server's settings, all validated."""

    database_url: str = field(repr=False)
    port: int = DEFAULT_PORT
    rate_limit_enabled: bool = True
    on_db_down: str = ON_DB_DOWN[0]
    admin_token: str | None = field(default=None, repr=False)
    trusted_proxies: tuple[Network, ...] = ()
    reputation_enabled: bool = False
    retention_days: int = DEFAULT_RETENTION_DAYS
    retention_interval_s: int = DEFAULT_RETENTION_INTERVAL_S
    alert_urls: tuple[str, ...] = field(default=(), repr=False)
    features: Mapping[str, bool] = field(default_factory=dict)  # lower-case name -> on
    anthropic_api_key_set: bool = False

    @property
    def host(self) -> str:
        """The address to listen on without handed-over sockets: all interfaces only if admin routes require a token."""
        return "0.0.0.0" if self.admin_token else "127.0.0.1"  # noqa: S104 - only with a token


def read(variables: Mapping[str, str]) -> Settings:
    """Read the settings; an empty value counts as unset. Raises SettingsError."""
    given = {name: value for name, value in variables.items() if value}
    return Settings(
        database_url=_database_url(given),
        port=_port(given),
        rate_limit_enabled=_boolean(given, "RATE_LIMIT_ENABLED", default=True),
        on_db_down=_on_db_down(given),
        admin_token=_token(given),
        trusted_proxies=_networks(given),
        reputation_enabled=_boolean(given, "REPUTATION_ENABLED", default=False),
        retention_days=_whole(given, "RETENTION_DAYS", DEFAULT_RETENTION_DAYS, MAX_RETENTION_DAYS, "days"),
        retention_interval_s=_whole(
            given, "RETENTION_INTERVAL_S", DEFAULT_RETENTION_INTERVAL_S, MAX_RETENTION_INTERVAL_S, "seconds"
        ),
        alert_urls=_alert_urls(given),
        features={name.lower(): _boolean(given, name, default=False) for name in FEATURES},
        anthropic_api_key_set="ANTHROPIC_API_KEY" in given,
    )


def check_exposure(chosen: Settings, addresses: Iterable[str]) -> None:
    """Require a long token where a listening address is not loopback. Raises SettingsError."""
    exposed = [one for one in addresses if not ipaddress.ip_address(one).is_loopback]
    if not exposed or len(chosen.admin_token or "") >= EXPOSED_TOKEN_LENGTH:
        return
    fault = f"shorter than {EXPOSED_TOKEN_LENGTH} characters" if chosen.admin_token else "not set"
    raise SettingsError(
        f"ADMIN_TOKEN: {fault}, and other machines reach the server at {exposed[0]}; "
        f"give at least {EXPOSED_TOKEN_LENGTH} characters, or listen on 127.0.0.1"
    )


def _database_url(given: Mapping[str, str]) -> str:
    example = "e.g. postgresql://user@host:5432/gaia"
    if "DATABASE_URL" not in given:
        raise SettingsError(f"DATABASE_URL: not set; give a PostgreSQL connection string, {example}")
    try:
        conninfo_to_dict(given["DATABASE_URL"])
    except psycopg.ProgrammingError:
        # without the cause: it quotes the value, which contains a password
        raise SettingsError(f"DATABASE_URL: not a PostgreSQL connection string; write {example}") from None
    return given["DATABASE_URL"]


def _port(given: Mapping[str, str]) -> int:
    text = given.get("PORT", str(DEFAULT_PORT))
    if not (text.isascii() and text.isdecimal() and len(text) <= 5 and 0 < int(text) < 65536):
        raise SettingsError(f"PORT: {text!r} is not a port; give a number from 1 to 65535, e.g. {DEFAULT_PORT}")
    return int(text)


def _whole(given: Mapping[str, str], name: str, default: int, most: int, unit: str) -> int:
    text = given.get(name, str(default))
    if not (text.isascii() and text.isdecimal() and len(text) <= len(str(most)) and 0 < int(text) <= most):
        raise SettingsError(f"{name}: {text!r} is not a whole number from 1 to {most}; give {unit}, e.g. {default}")
    return int(text)


def _boolean(given: Mapping[str, str], name: str, *, default: bool) -> bool:
    text = given.get(name, str(default).lower())
    if text not in ("true", "false"):
        raise SettingsError(f"{name}: {text!r} is not true or false")
    return text == "true"


def _on_db_down(given: Mapping[str, str]) -> str:
    text = given.get("RATE_LIMIT_ON_DB_DOWN", ON_DB_DOWN[0])
    if text not in ON_DB_DOWN:
        raise SettingsError(f"RATE_LIMIT_ON_DB_DOWN: {text!r} is not {' or '.join(ON_DB_DOWN)}")
    return text


def _token(given: Mapping[str, str]) -> str | None:
    token = given.get("ADMIN_TOKEN")
    if token is None:
        return None
    if len(token) < MINIMUM_TOKEN_LENGTH or not all("!" <= character <= "~" for character in token):
        raise SettingsError(
            f"ADMIN_TOKEN: not usable; give at least {MINIMUM_TOKEN_LENGTH} printable ASCII characters without spaces"
        )
    return token


def _alert_urls(given: Mapping[str, str]) -> tuple[str, ...]:
    urls = tuple(part.strip() for part in given.get("ALERT_URLS", "").split(",") if part.strip())
    for number, url in enumerate(urls, start=1):
        if not _is_http(url):  # the message does not quote it: it may contain a password
            raise SettingsError(
                f"ALERT_URLS: number {number} is no http or https URL; "
                "separate URLs by commas, e.g. https://alerts.example/hook"
            )
    return urls


def _is_http(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0 and _is_plain(url)
    except ValueError:
        return False


def _is_plain(url: str) -> bool:
    return all("!" <= character <= "~" for character in url)


def _networks(given: Mapping[str, str]) -> tuple[Network, ...]:
    try:
        return tuple(ipaddress.ip_network(part.strip()) for part in given.get("TRUSTED_PROXIES", "").split(",") if part)
    except ValueError as error:
        raise SettingsError(
            f"TRUSTED_PROXIES: {error}; give addresses or networks separated by commas, e.g. 10.0.0.7,192.168.0.0/16"
        ) from None
