"""PostgreSQL: connections, the embedded cluster, dumps, scratch databases."""
