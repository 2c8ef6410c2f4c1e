"""Look: one file per thing we look at; measurements out, no thresholds in."""
