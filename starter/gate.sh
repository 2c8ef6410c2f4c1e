#!/bin/sh
# What your CI runs after a deployment. It needs the virtual environment with gaia-checks in PATH, and from the
# secrets of the CI, never from a file in git, ADMIN_TOKEN (and DATABASE_URL, for a role that may read).
# Exit code 0: pass, 1: fail, 8: inconclusive, which is not a pass; 4: a file or an option is wrong.
# Keep reports/ as an artifact: everything that the verdict was computed from is in it.
set -eu
cd "$(dirname "$0")"
exec pytest -c gaia.ini --env=dev "$@"
