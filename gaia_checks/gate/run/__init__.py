"""One gate from its first look to its verdict: which target, who measures when, and its end."""
