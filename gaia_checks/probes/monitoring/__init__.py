"""The monitoring probe: the metrics and the shipped queries."""
