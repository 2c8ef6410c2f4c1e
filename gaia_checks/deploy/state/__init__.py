"""Deployment state on disk: paths, lock, ledger, deployment journal, checkpoints, supervisor state."""
