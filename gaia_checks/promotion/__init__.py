"""Promotion: signed statements, where they are recorded, and what lets a release into the next stage."""
