"""A load as a chart, and two loads compared."""
