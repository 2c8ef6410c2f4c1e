"""Alerting: what a server process measures of itself, which rules fire by it, and who is notified."""
