"""Status, history, diagnosis and notifications."""
