"""The gate's tests of a live server: one file per subject, one test per criterion."""
