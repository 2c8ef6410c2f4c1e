"""git: deployment tags, the working tree's repository, and the remote."""
