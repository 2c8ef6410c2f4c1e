"""What a login's cookie must say of itself."""

import pytest

from gaia_checks.probes.access.forged_sessions import stealable


@pytest.mark.parametrize(
    ("set_cookie", "how"),
    [
        ("gaia_session=1.a.b; HttpOnly; Path=/; SameSite=Strict", None),
        ("gaia_session=1.a.b; httponly; samesite=lax", None),
        ("gaia_session=1.a.b; Path=/; SameSite=Strict", "scripts of a page can read it"),
        ("gaia_session=httponly; SameSite=Strict", "scripts of a page can read it"),
        ("gaia_session=1.a.b; HttpOnly", "other sites make a browser send it"),
        ("gaia_session=1.a.b; HttpOnly; SameSite=None; Secure", "other sites make a browser send it"),
    ],
)
def test_a_cookie_that_others_could_take_is_named(set_cookie: str, how: str | None) -> None:
    """HttpOnly, and SameSite Strict or Lax; in any case."""
    found = stealable(set_cookie)
    assert found is None if how is None else found and found.endswith(how)
