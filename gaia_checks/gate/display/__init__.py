"""What people read of a gate: progress, the verdict, and what a gate would do."""
