"""gaia_server: rate limits and quotas over HTTP and WebSocket, enforced in PostgreSQL."""

__version__ = "0.2.0"
