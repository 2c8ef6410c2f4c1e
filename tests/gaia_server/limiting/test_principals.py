"""The principal of a request, and the rate limit headers."""

import ipaddress
from datetime import UTC, datetime

import pytest

from gaia_server.limiting import principals, ratelimit_headers
from gaia_server.limiting.decision import Decision, Standing
from gaia_server.limiting.principals import Principal

NOW = datetime(2026, 2, 26, 10, tzinfo=UTC)
PROXY = "10.0.0.7"


def principal(peer: str | None = "192.0.2.7", *, is_admin: bool = False, **headers: str) -> str:
    """Return the key of a request's principal; `x_user_id="u"` stands for a header."""
    return principals.principal(
        {name.replace("_", "-"): value for name, value in headers.items()},
        peer,
        named_keys={"named"},
        trusted_proxies=(ipaddress.ip_network("10.0.0.0/8"),),
        is_admin=lambda: is_admin,
    ).key


def test_unverified_names_are_ignored() -> None:
    """A client that invents a key, a user, a session or an address still counts by its own address."""
    invented = {"x_api_key": "invented", "x_user_id": "u", "x_session_id": "s", "x_forwarded_for": "203.0.113.9"}
    assert principal(is_admin=False, **invented) == "ip:192.0.2.7"


def test_named_key() -> None:
    """An API key that a rule names takes precedence."""
    assert principal(x_api_key="named", x_user_id="u", is_admin=True) == "api_key:named"


@pytest.mark.parametrize(("peer", "is_admin"), [(PROXY, False), ("192.0.2.7", True)])
def test_verified_names(peer: str, is_admin: bool) -> None:
    """A trusted proxy or the admin may name users and sessions."""
    assert principal(peer, is_admin=is_admin, x_user_id="u", x_session_id="s") == "user:u"
    assert principal(peer, is_admin=is_admin, x_session_id="s") == "session:s"


@pytest.mark.parametrize("name", ["", "a b", "\x00", "\u00e9", "x" * 201])
def test_unusable_names(name: str) -> None:
    """A name that is invalid in a rule is ignored."""
    assert principal(is_admin=True, x_user_id=name) == "ip:192.0.2.7"


@pytest.mark.parametrize(
    ("forwarded", "key"),
    [
        ("203.0.113.9", "ip:203.0.113.9"),
        ("1.2.3.4, 203.0.113.9", "ip:203.0.113.9"),  # the first is only claimed
        ("203.0.113.9, 10.1.1.1", "ip:203.0.113.9"),  # a second trusted proxy
        ("2001:db8::7", "ip:2001:db8::/64"),
        ("203.0.113.9:51234", "ip:203.0.113.9"),
        ("1.2.3.4, 203.0.113.9:51234, 10.1.1.1:80", "ip:203.0.113.9"),
        ("[2001:db8::7]:443", "ip:2001:db8::/64"),
        ("[2001:db8::7]", "ip:2001:db8::/64"),
        ("[::ffff:203.0.113.9]:443", "ip:203.0.113.9"),
        ("203.0.113.9, nonsense", f"ip:{PROXY}"),
        ("203.0.113.9, unknown", f"ip:{PROXY}"),
        ("203.0.113.9, " + "7" * 30_000, f"ip:{PROXY}"),
        ("", f"ip:{PROXY}"),
    ],
)
def test_forwarded(forwarded: str, key: str) -> None:
    """Behind a trusted proxy the client is the last address that is no trusted proxy."""
    assert principal(PROXY, x_forwarded_for=forwarded) == key


@pytest.mark.parametrize(
    ("forwarded", "key"),
    [
        ("for=203.0.113.9", "ip:203.0.113.9"),
        ('For="203.0.113.9:51234";proto=https;by=10.0.0.7', "ip:203.0.113.9"),
        ("for=203.0.113.9:51234", "ip:203.0.113.9"),
        ('proto=https; for="[2001:db8::7]:443"', "ip:2001:db8::/64"),
        ('for="[2001:db8::7]:_port"', "ip:2001:db8::/64"),
        ("for=1.2.3.4, for=203.0.113.9, for=10.1.1.1", "ip:203.0.113.9"),
        ('for="1.2.3.4, for=203.0.113.9', "ip:203.0.113.9"),  # the client's open quotation mark hides nothing
        ('for=203.0.113.9;host="a,for=1.2.3.4;b="', f"ip:{PROXY}"),  # the client's Host adds no element
        ('for=203.0.113.9;host="a,for=1.2.3.4;b=\\""', f"ip:{PROXY}"),
        ("for=1.2.3.4;for=203.0.113.9", f"ip:{PROXY}"),
        ("for=_hidden", f"ip:{PROXY}"),
        ("for=1.2.3.4, for=unknown", f"ip:{PROXY}"),
        ("for=1.2.3.4, proto=https", f"ip:{PROXY}"),
        ("," * 30_000, f"ip:{PROXY}"),
    ],
)
def test_forwarded_header(forwarded: str, key: str) -> None:
    """`Forwarded` (RFC 7239) names the client like X-Forwarded-For, and only behind a trusted proxy."""
    assert principal(PROXY, forwarded=forwarded) == key
    assert principal(forwarded=forwarded) == "ip:192.0.2.7"


@pytest.mark.parametrize(
    ("forwarded_for", "forwarded", "key"),
    [
        ("203.0.113.9:1", "for=203.0.113.9", "ip:203.0.113.9"),
        ("203.0.113.9", "for=_hidden", "ip:203.0.113.9"),
        ("10.1.1.1", "for=203.0.113.9", "ip:203.0.113.9"),
        ("203.0.113.9", "for=1.2.3.4", f"ip:{PROXY}"),
    ],
)
def test_two_headers(forwarded_for: str, forwarded: str, key: str) -> None:
    """A header that the client adds beside the proxy's own gives it no address of its choice."""
    assert principal(PROXY, x_forwarded_for=forwarded_for, forwarded=forwarded) == key


def test_no_peer() -> None:
    """A socket without addresses is one client."""
    assert principal(None) == "ip:unknown"


def standing(
    name: str = "a",
    *,
    admitted: bool = True,
    remaining: int = 3,
    reset_s: float = 0.5,
    kind: str = "requests_per_minute",
) -> Standing:
    """Return the standing of a rule."""
    return Standing(1, name, "ip", kind, 10, "ip:x", admitted, remaining, round(reset_s * 1_000_000), NOW)


def test_headers() -> None:
    """All rules are listed; the X- headers are the tightest rule's; times are rounded up."""
    decision = Decision([standing("a", remaining=9, reset_s=59.2), standing("b", remaining=2, kind="daily_quota")])
    assert ratelimit_headers.headers(decision) == {
        "RateLimit-Policy": '"a";q=10;w=60, "b";q=10;w=86400',
        "RateLimit": '"a";r=9;t=60, "b";r=2;t=1',
        "X-RateLimit-Limit": "10",
        "X-RateLimit-Remaining": "2",
        "X-RateLimit-Reset": str(int(NOW.timestamp()) + 1),
    }


def test_retry_after_is_the_longest_wait() -> None:
    """Retry-After is the wait of the rule that refuses longest."""
    refusing = [standing("a", admitted=False, remaining=0, reset_s=0.2)]
    refusing += [standing("b", admitted=False, remaining=0, reset_s=30.1), standing("c", remaining=1, reset_s=99)]
    decision = Decision(refusing)
    assert not decision.admitted
    assert [refusal.rule_name for refusal in decision.refusals] == ["a", "b"]
    assert ratelimit_headers.headers(decision)["Retry-After"] == "31"


def test_retry_after_is_at_least_a_second() -> None:
    """Retry-After is never below 1 s."""
    assert (
        ratelimit_headers.headers(Decision([standing(admitted=False, remaining=0, reset_s=-0.1)]))["Retry-After"] == "1"
    )


def test_no_rule_no_limit() -> None:
    """Without an applicable rule the request passes without headers."""
    assert Decision([]).admitted
    assert ratelimit_headers.headers(Decision([])) == {}


def test_principal_key() -> None:
    """A key starts with its scope."""
    assert Principal("ip", "192.0.2.7").key == "ip:192.0.2.7"


def test_lines_of_one_header_are_one_list() -> None:
    """A header line that a proxy adds is used: an earlier line of the client does not hide it."""
    raw = [(b"host", b"x"), (b"x-forwarded-for", b"198.51.100.1"), (b"x-forwarded-for", b"192.0.2.7, 10.0.0.9")]
    claims = principals.claims(raw)
    assert claims == {"x-forwarded-for": "198.51.100.1, 192.0.2.7, 10.0.0.9"}
    trusted = (ipaddress.ip_network("10.0.0.0/8"),)
    found = principals.principal(claims, "10.0.0.1", named_keys=(), trusted_proxies=trusted, is_admin=lambda: False)
    assert found == Principal("ip", "192.0.2.7")
