"""Random HTTP heads and WebSocket frames for a running server."""
