"""Probes: one file per subject; each returns measurements and knows no thresholds."""
