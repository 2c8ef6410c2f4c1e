"""The rehearsal copy: a second deployment of the target's release beside it."""
