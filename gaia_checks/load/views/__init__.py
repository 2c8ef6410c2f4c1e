"""The chart of a load, and the comparison of two loads."""
