"""Settings: valid ones are read, invalid ones refused with the expected value."""

import ipaddress

import pytest

from gaia_server.settings import Settings, SettingsError, check_exposure, read

DSN = "postgresql://gaia:canary-password@db:5432/gaia"


def test_defaults() -> None:
    """Only the database is required."""
    assert read({"DATABASE_URL": DSN, "PORT": "", "ADMIN_TOKEN": ""}) == Settings(
        DSN,
        features={"claude_confirm_ai_enabled": False, "enable_pattern_learning": False, "enable_ai_fallback": False},
    )


def test_all_given() -> None:
    """Each variable sets its setting."""
    found = read(
        {
            "DATABASE_URL": DSN,
            "PORT": "8711",
            "RATE_LIMIT_ENABLED": "false",
            "ADMIN_TOKEN": "canary-token",
            "TRUSTED_PROXIES": "10.0.0.7, 192.168.0.0/16",
            "ENABLE_AI_FALLBACK": "true",
            "ANTHROPIC_API_KEY": "canary-key",
            "REPUTATION_ENABLED": "true",
            "RETENTION_DAYS": "7",
            "RETENTION_INTERVAL_S": "3600",
        }
    )
    assert (found.port, found.rate_limit_enabled, found.admin_token) == (8711, False, "canary-token")
    assert found.trusted_proxies == (ipaddress.ip_network("10.0.0.7/32"), ipaddress.ip_network("192.168.0.0/16"))
    assert found.features["enable_ai_fallback"]
    assert found.anthropic_api_key_set
    assert (found.reputation_enabled, found.retention_days, found.retention_interval_s) == (True, 7, 3600)


@pytest.mark.parametrize(("token", "host"), [("", "127.0.0.1"), ("canary-token", "0.0.0.0")])
def test_host(token: str, host: str) -> None:
    """Only a server that requires a token listens on all interfaces."""
    assert read({"DATABASE_URL": DSN, "ADMIN_TOKEN": token}).host == host


@pytest.mark.parametrize(
    ("token", "address", "message"),
    [
        ("", "0.0.0.0", "ADMIN_TOKEN: not set, and other machines reach the server at 0.0.0.0; give at least 16"),
        ("", "192.0.2.7", "ADMIN_TOKEN: not set, and other machines reach the server at 192.0.2.7"),
        ("canary-of-15-ch", "::", "ADMIN_TOKEN: shorter than 16 characters, and other machines reach the server at ::"),
        ("canary-of-16-cha", "0.0.0.0", None),
        ("canary-of-15-ch", "127.0.0.2", None),
        ("", "::1", None),
    ],
)
def test_exposure(token: str, address: str, message: str | None) -> None:
    """A server that other machines reach needs a long token."""
    chosen = read({"DATABASE_URL": DSN, "ADMIN_TOKEN": token})
    if message is None:
        check_exposure(chosen, ["127.0.0.1", address])
        return
    with pytest.raises(SettingsError) as caught:
        check_exposure(chosen, ["127.0.0.1", address])
    assert message in str(caught.value)
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("DATABASE_URL", "", "DATABASE_URL: not set; give a PostgreSQL connection string"),
        ("DATABASE_URL", "canary=canary-password", "DATABASE_URL: not a PostgreSQL connection string"),
        ("PORT", "0", "PORT: '0' is not a port; give a number from 1 to 65535, e.g. 8080"),
        ("PORT", "65536", "PORT: '65536' is not a port"),
        ("PORT", "\u0663", "is not a port"),
        ("RATE_LIMIT_ENABLED", "yes", "RATE_LIMIT_ENABLED: 'yes' is not true or false"),
        ("ENABLE_AI_FALLBACK", "1", "ENABLE_AI_FALLBACK: '1' is not true or false"),
        ("REPUTATION_ENABLED", "on", "REPUTATION_ENABLED: 'on' is not true or false"),
        ("RETENTION_DAYS", "0", "RETENTION_DAYS: '0' is not a whole number from 1 to 3650; give days, e.g. 90"),
        ("RETENTION_DAYS", "3651", "RETENTION_DAYS: '3651' is not"),
        (
            "RETENTION_INTERVAL_S",
            "0.5",
            "RETENTION_INTERVAL_S: '0.5' is not a whole number from 1 to 86400; give seconds",
        ),
        ("ADMIN_TOKEN", "canary", "ADMIN_TOKEN: not usable; give at least 8 printable ASCII characters"),
        ("ADMIN_TOKEN", "canary token", "ADMIN_TOKEN: not usable"),
        ("TRUSTED_PROXIES", "proxy", "TRUSTED_PROXIES: 'proxy' does not appear to be"),
    ],
)
def test_refused(name: str, value: str, message: str) -> None:
    """A refusal names the variable and the expected value, and no secret."""
    with pytest.raises(SettingsError) as caught:
        read({"DATABASE_URL": DSN, name: value})
    assert message in str(caught.value)
    assert "canary" not in str(caught.value)


def test_secrets_are_not_shown() -> None:
    """The representation contains no secret."""
    assert "canary" not in repr(read({"DATABASE_URL": DSN, "ADMIN_TOKEN": "canary-token"}))
