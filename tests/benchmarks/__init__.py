"""Tests of the benchmarks' evaluation of figures, not of the figures."""
