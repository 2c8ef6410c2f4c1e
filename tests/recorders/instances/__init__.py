"""The recorder of several instances."""
