"""Open-loop load: requests at scheduled times, and the latency of each from when it was due."""
