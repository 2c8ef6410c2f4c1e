"""What locust loads: the user, its options, its workers."""
