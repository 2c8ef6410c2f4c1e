"""What the gate runs against a live server: one file per subject, one test per criterion."""
