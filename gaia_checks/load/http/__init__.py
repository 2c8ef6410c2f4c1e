"""HTTP/1.1 as bytes: renders requests, parses responses."""
