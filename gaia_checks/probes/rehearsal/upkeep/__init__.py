"""What a server does by itself on a rehearsal copy, and what it keeps over time."""
