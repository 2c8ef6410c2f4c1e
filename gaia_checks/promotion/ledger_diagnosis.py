"""What `gaia doctor` says about promotion: whether the ledger is untouched."""

from gaia_checks.deploy.git import git_remote
from gaia_checks.deploy.reporting.doctor import Diagnosis
from gaia_checks.deploy.state import paths
from gaia_checks.environment.environment import Environment
from gaia_checks.promotion import ledger_check


def examine_ledger(environment: Environment) -> Diagnosis:
    """Return what `gaia doctor` says about the ledger; statements as last fetched."""
    remote = git_remote.of(environment) if environment.remote else None
    known = remote if remote and (remote.mirror / "HEAD").exists() else None
    found = next(ledger_check.faults([environment], known), None)
    if found:
        fix = "restore the file from a backup, or find out who changed it; move it away to begin a new one"
        return Diagnosis("ledger", "wrong", found, fix)
    return Diagnosis("ledger", "ok", f"every line of {paths.of(environment).ledger} follows from the one before")
