"""Messages pushed to WebSocket clients."""
