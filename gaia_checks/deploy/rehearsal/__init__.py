"""The rehearsal copy: the target's release deployed once more beside it."""
