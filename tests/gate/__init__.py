"""Tests of the gate as a person runs it: a command, an exit code, files."""
