"""The supervisor: the process that starts, restarts and swaps servers."""
