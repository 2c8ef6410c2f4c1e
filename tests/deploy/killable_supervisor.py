"""`gaia supervise`, with a kill at the checkpoint that `killing.Killer` has planned."""

import sys

from gaia_checks.deploy.state import paths
from gaia_checks.deploy.supervisor.daemon import supervise
from gaia_checks.environment import environment_file
from tests.deploy.killing import Killer

if __name__ == "__main__":
    loaded = environment_file.load(sys.argv[1])
    supervise(loaded, Killer(paths.of(loaded)))
