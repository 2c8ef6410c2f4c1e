"""Tests of the monitoring that is shipped."""
