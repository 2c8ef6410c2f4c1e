"""How every look reaches the target: one place for time limits, identity and the admin token."""

import ipaddress
import socket
import ssl
import threading

import httpx

from gaia_checks.errors import TargetUnreachable
from gaia_checks.model import Target

CONNECT_S = 5.0
READ_S = 10.0


def key(target: Target) -> str:
    """Return the API key under which everything this run sends is counted."""
    return f"gaia-run-{target.run}"


def client(target: Target, *, keyed: bool = True) -> httpx.Client:
    """Return a client for paths below the target's address; with `keyed`, it is counted as this run.

    It follows no redirect and asks no proxy: what answers must be the target, and the token goes nowhere else.
    Raises TargetUnreachable when the host name cannot be resolved in time.
    """
    resolve(target.base_url)
    return httpx.Client(
        base_url=target.base_url,
        headers={**({"X-API-Key": key(target)} if keyed else {}), **_authorization(target)},
        timeout=httpx.Timeout(READ_S, connect=CONNECT_S),
        follow_redirects=False,
        trust_env=False,
        verify=trust(target.base_url),
    )


def trust(base_url: str) -> ssl.SSLContext | bool:
    """Return who vouches for certificates: whom the system trusts, or SSL_CERT_FILE names; without TLS nobody."""
    return base_url.startswith("https") and ssl.create_default_context()


def websocket_headers(target: Target) -> dict[str, str]:
    """Return the headers of a WebSocket handshake; the token travels here, never in the URL."""
    return _authorization(target)


def resolve(base_url: str) -> None:
    """Look the host name up with a limit, which the system's own resolver does not have.

    Raises TargetUnreachable when it does not resolve in time.
    """
    host = httpx.URL(base_url).host
    failed: list[OSError | None] = []
    lookup = threading.Thread(target=lambda: failed.append(_lookup_error(host)), daemon=True)
    if _is_address(host):
        return
    lookup.start()
    lookup.join(CONNECT_S)
    if not failed:
        raise TargetUnreachable(
            f"{base_url}: the host name did not resolve within {CONNECT_S:.0f} s; check the name server"
        )
    if failed[0]:
        raise TargetUnreachable(f"{base_url}: the host name does not resolve: {failed[0]}; check base_url") from failed[
            0
        ]


def _authorization(target: Target) -> dict[str, str]:
    return {"Authorization": f"Bearer {target.admin_token}"} if target.admin_token else {}


def _lookup_error(host: str) -> OSError | None:
    try:
        socket.getaddrinfo(host, None)
    except OSError as error:
        return error
    return None


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
