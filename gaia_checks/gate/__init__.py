"""The gate: pytest with --env measures, decides and reports."""
