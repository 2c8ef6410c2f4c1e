"""What is pushed to WebSocket clients."""
