"""Client addresses in the form that limits count them by."""

import pytest

from gaia_server.limiting import address


@pytest.mark.parametrize(
    ("text", "counted"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:0:1:aaaa::7", "2001:db8:0:1::/64"),
        ("2001:db8:0:1::/64", "2001:db8:0:1::/64"),
        ("::1", "::1"),
        ("192.0.2.0/64", None),
        ("nobody", None),
        ("", None),
    ],
)
def test_counted(text: str, counted: str | None) -> None:
    """An IPv6 client counts as its whole /64, any other client as one address."""
    assert address.counted_text(text) == counted
