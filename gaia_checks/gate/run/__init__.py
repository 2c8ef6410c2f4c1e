"""One gate from start to verdict: its target, the schedule of its looks, its background processes and its end."""
