"""Is the load generator itself right: fidelity against an analytic truth, timing, and what it costs."""
