"""Ship: from a release to a verified running server, and back."""
