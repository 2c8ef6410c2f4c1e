"""gaia-checks: deploy `gaia_server` all-or-nothing and decide, with evidence, whether it may go on."""

__version__ = "0.2.0"
