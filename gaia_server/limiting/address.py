"""Client addresses in the form that limits count them by. Pure."""

import ipaddress
from functools import lru_cache

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


LONGEST = 64
"""An address is shorter, even with a zone; longer text would fill the memory of what is parsed."""


def parse(text: str | None) -> Address | None:
    """Return `text` as an address, an IPv4-mapped IPv6 address as IPv4; None if it is no address."""
    return _parse(text) if text and len(text) <= LONGEST else None


@lru_cache(maxsize=4096)  # the same clients return again and again
def _parse(text: str) -> Address | None:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


@lru_cache(maxsize=4096)
def counted(address: Address) -> str:
    """Return the form that limits count `address` by: IPv6 as its /64, because one client can own all of it."""
    if address.version == 4 or address.is_loopback:
        return str(address)
    return str(ipaddress.ip_network((address, 64), strict=False))


def counted_text(text: str) -> str | None:
    """Return the form that limits count an address or IPv6 /64 by; None if `text` is neither."""
    if text.endswith("/64"):
        address = parse(text.removesuffix("/64"))
        return counted(address) if address and address.version == 6 else None
    found = parse(text)
    return counted(found) if found else None
