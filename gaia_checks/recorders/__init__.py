"""Recorders: measurements in the background of a whole gate. One process, one timeline per recorder."""
