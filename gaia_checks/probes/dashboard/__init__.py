"""The dashboard probe, in a real browser."""
