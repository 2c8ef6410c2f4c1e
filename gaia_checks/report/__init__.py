"""Tell: evidence files, pages for people, statements for machines."""
