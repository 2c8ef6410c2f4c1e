"""The results of a load: counts per second, histograms, files, measurements."""
