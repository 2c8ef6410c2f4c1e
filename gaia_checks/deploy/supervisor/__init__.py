"""The process that starts the server, restarts it, and swaps it for another."""
