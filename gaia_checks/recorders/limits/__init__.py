"""The recorder of the limits: bursts of requests and their headers."""
