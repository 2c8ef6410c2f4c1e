"""Tests of the gate as a user runs it: a command, an exit code, files."""
