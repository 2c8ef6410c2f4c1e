"""Tests of the benchmarks' judgement: what they say of figures, not the figures."""
