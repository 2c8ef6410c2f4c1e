"""Shared by the recorders: sampling, timelines, the metrics client."""
