"""The steps of a deployment, from preflight to recovery."""
