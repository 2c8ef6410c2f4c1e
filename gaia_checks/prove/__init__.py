"""Tests the gate itself: seed a fault in a server's source, build it, gate it, and see whether the gate is red."""
