"""The gate's output for people: progress, the verdict, and the dry run."""
