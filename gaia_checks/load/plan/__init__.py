"""What is sent and when: the mix and the arrival schedule."""
