"""Addresses of clients, as limits count them. Pure."""

import ipaddress
from functools import lru_cache

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@lru_cache(maxsize=4096)  # the same clients come again and again
def parse(text: str | None) -> Address | None:
    """Return the address that `text` is, IPv4 in IPv6 clothes undressed; None if it is none."""
    try:
        address = ipaddress.ip_address(text or "")
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


@lru_cache(maxsize=4096)
def counted(address: Address) -> str:
    """Return what a limit counts `address` as: an IPv6 one as its /64, all of which one client can have."""
    if address.version == 4 or address.is_loopback:
        return str(address)
    return str(ipaddress.ip_network((address, 64), strict=False))


def counted_text(text: str) -> str | None:
    """Return what a limit counts an address or IPv6 /64 as; None if `text` is neither."""
    if text.endswith("/64"):
        address = parse(text.removesuffix("/64"))
        return counted(address) if address and address.version == 6 else None
    found = parse(text)
    return counted(found) if found else None


def is_loopback(text: str | None) -> bool:
    """Whether `text` is an address of this machine itself."""
    address = parse(text)
    return address is not None and address.is_loopback
