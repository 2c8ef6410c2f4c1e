"""Measures the figures that the product promises; not part of the product."""
