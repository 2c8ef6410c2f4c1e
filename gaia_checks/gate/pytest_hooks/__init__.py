"""The gate's pytest plugin: options, the controlling process, one test per criterion."""
