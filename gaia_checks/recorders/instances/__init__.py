"""The instances behind a load balancer: each by itself, and what they must share."""
