"""Probes that need a rehearsal copy."""
