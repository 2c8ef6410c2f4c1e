"""The recorder of many WebSocket clients over a long time."""
