"""The gate as pytest sees it: options, the leading process, one test per criterion."""
