"""What runs, what ran, what is wrong, and who is notified."""
