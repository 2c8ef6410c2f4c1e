"""Database access: all SQL but the limiter's call."""
