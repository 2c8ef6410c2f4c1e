"""The recorder of the server's log."""
