"""Measures the limiter: speed, exactness, durability. Each module with a `main` is a program."""
