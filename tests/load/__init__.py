"""Tests of the load: pure parts by tables, the engine against servers that misbehave on cue."""
