"""HTTP/1.1 as bytes: requests written, responses parsed."""
