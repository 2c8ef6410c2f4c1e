"""Whether every place that reports a figure reports what was sent."""
