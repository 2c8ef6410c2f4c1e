"""PostgreSQL: connections, the embedded cluster, its programs, dumps, scratch databases."""
