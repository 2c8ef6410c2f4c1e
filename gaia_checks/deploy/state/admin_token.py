"""The admin token of a deployment: without one nobody is an administrator, the gate included."""

import os
import secrets

from gaia_checks.environment.environment import Environment, is_loopback
from gaia_checks.errors import ConfigurationError

EXPOSED_LENGTH = 16
"""The shortest token of a server that other machines reach (docs/contract.md)."""


def ensure(environment: Environment) -> None:
    """Make a token where ADMIN_TOKEN is not set, and keep it in a file of the environment's state, mode 0600.

    Raises ConfigurationError when the given one is too short for where the server listens.
    """
    if environment.admin_token is None:
        new = environment.token_file.with_suffix(".new")
        new.unlink(missing_ok=True)
        with os.fdopen(os.open(new, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as file:
            file.write(secrets.token_urlsafe())
            file.flush()
            os.fsync(file.fileno())
        new.replace(environment.token_file)
    elif len(environment.admin_token) < EXPOSED_LENGTH and not (
        environment.host == "localhost" or is_loopback(environment.host)
    ):
        raise ConfigurationError(
            f"{environment.name}: ADMIN_TOKEN is shorter than {EXPOSED_LENGTH} characters, and other machines reach "
            f"{environment.host}; export a longer one"
        )
