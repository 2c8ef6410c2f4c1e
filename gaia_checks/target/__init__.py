"""Access to the server under test: client, response checks, temporary rules, PostgreSQL."""
