"""The steps of a deployment, from preflight checks to recovery."""
