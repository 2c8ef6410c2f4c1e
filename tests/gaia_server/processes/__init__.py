"""Whole server processes: killed, several at once, without their database."""
