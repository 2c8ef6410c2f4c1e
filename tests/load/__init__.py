"""Tests of the load: pure parts by tables, the engines against servers that inject faults."""
