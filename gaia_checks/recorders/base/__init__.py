"""What recorders share: sampling, timelines, the metrics client."""
