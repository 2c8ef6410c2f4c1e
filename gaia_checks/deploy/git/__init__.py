"""Tags, the working tree's repository, and a remote."""
