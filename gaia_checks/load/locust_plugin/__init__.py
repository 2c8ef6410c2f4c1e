"""The locust plug-in: the user class, its options, its workers."""
