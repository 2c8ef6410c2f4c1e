"""Who is counted as whom, and which rules are in force."""
