"""Seeded faults: each must turn exactly its criterion red."""
