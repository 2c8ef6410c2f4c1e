"""Report: evidence files, pages for people, JSON for machines."""
