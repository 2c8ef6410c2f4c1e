"""Measures the load generator itself: fidelity against an analytic truth, timing, and cost."""
