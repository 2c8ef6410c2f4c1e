"""What a deployment leaves on the disk: paths, lock, ledger, journal, the supervisor's state."""
