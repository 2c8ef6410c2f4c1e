"""The gate: pytest with --env looks, decides and tells."""
