"""Who may read the page: the token's rules, and the names that a request on loopback may use."""

import pytest

from gaia_checks.errors import ConfigurationError
from gaia_checks.serve.page_access import COOKIE, PageAccess
from tests.serve.conftest import TOKEN

LOCAL = PageAccess("127.0.0.1", None, loopback=True)
OPEN = PageAccess("10.0.0.5", TOKEN, loopback=False)
OTHER = PageAccess("10.0.0.5", f"{TOKEN}x", loopback=False)


@pytest.mark.parametrize("host", ["127.0.0.1:8720", "localhost", "LOCALHOST:9000", "[::1]:8720", "127.0.0.2"])
def test_loopback_is_read_under_its_own_names(host: str) -> None:
    """Whatever the port is: a tunnel has another."""
    assert LOCAL.right_host([host])


@pytest.mark.parametrize(
    "hosts",
    [[], ["evil.test"], ["evil.test:8720"], ["localhost.evil.test"], ["127.0.0.1.evil.test"], ["10.0.0.5:8720"], [""],
     ["localhost", "localhost"], ["[::1"], ["localhost@evil.test"], ["0.0.0.0:8720"], ["evil.test#localhost"]],
)  # fmt: skip
def test_loopback_is_not_read_under_another_name(hosts: list[str]) -> None:
    """A page of others, whose name was pointed to this machine, reads nothing."""
    assert not LOCAL.right_host(hosts)


def test_elsewhere_the_token_protects_under_every_name() -> None:
    """A proxy may call this server what it likes."""
    assert OPEN.right_host(["wall.example.org"])


def test_without_a_token_everybody_on_loopback_is_admitted() -> None:
    """No header is needed, and none is a token."""
    assert LOCAL.admits("", "")
    assert not LOCAL.is_token("")


@pytest.mark.parametrize(
    ("authorization", "cookies"),
    [(f"Bearer {TOKEN}", ""), (f"bearer  {TOKEN} ", ""), ("", f"{COOKIE}={OPEN.session()}"),
     ("", f"other=1; {COOKIE}=old; {COOKIE}={OPEN.session()}"), ("Bearer wrong", f"{COOKIE}={OPEN.session()}")],
)  # fmt: skip
def test_the_token_or_its_cookie_admits(authorization: str, cookies: str) -> None:
    """As a header of scripts, or as the cookie of a browser."""
    assert OPEN.admits(authorization, cookies)


@pytest.mark.parametrize(
    ("authorization", "cookies"),
    [("", ""), (TOKEN, ""), ("Bearer", ""), ("Bearer ", ""), (f"Basic {TOKEN}", ""), (f"Bearer {TOKEN}x", ""),
     (f"Bearer {TOKEN[:-1]}", ""), ("", f"{COOKIE}={TOKEN}"), ("", f"x{COOKIE}={OPEN.session()}"),
     ("", COOKIE), ("Bearer \xfc\udcff", "\xfc=\udcff"), ("", f"{COOKIE}={OTHER.session()}")],
)  # fmt: skip
def test_anything_else_does_not(authorization: str, cookies: str) -> None:
    """Not the token as a cookie either, and not another token's cookie."""
    assert not OPEN.admits(authorization, cookies)


def test_the_cookie_does_not_give_the_token_away() -> None:
    """Whoever reads it can open the page, and knows no token."""
    assert TOKEN not in OPEN.session()


def test_another_machine_needs_a_token() -> None:
    """Beyond loopback nothing is served without one."""
    with pytest.raises(ConfigurationError, match=r"^serve: 0\.0\.0\.0 is reachable from other machines; export GAIA_S"):
        PageAccess("0.0.0.0", None, loopback=False)


@pytest.mark.parametrize("token", ["short", "x" * 15, "x" * 15 + "\n", "ü" * 16, "x" * 16 + "\x00"])
@pytest.mark.parametrize("loopback", [True, False])
def test_an_unfit_token_is_refused(token: str, loopback: bool) -> None:
    """Too short, or nothing that a header can carry; the message does not repeat it."""
    with pytest.raises(ConfigurationError) as raised:
        PageAccess("h", token, loopback=loopback)
    assert str(raised.value) == (
        "serve: GAIA_SERVE_TOKEN is not 16 or more printable ASCII characters; make one with: openssl rand -hex 16"
    )
