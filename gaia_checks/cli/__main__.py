"""`python -m gaia_checks.cli`: the `gaia` command."""

from gaia_checks.cli.program import main

main()
