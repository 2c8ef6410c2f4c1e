"""What came of a load: counts per second, histograms, files, measurements."""
