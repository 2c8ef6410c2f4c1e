"""What clients send and receive, each defined once."""
