"""Environments: where a server runs and what it is given. Only this package reads `os.environ`."""
