"""The limits recorder: bursts of requests and their headers."""
