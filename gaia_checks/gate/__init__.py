"""The gate: pytest with --env measures, judges and reports."""
