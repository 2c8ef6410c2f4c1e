"""This process's own variables: what others are given of them, and what is hidden of them."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from gaia_checks.redaction import redact


def without_secrets(text: str) -> str:
    """Return `text` without the secrets among this process's own variables."""
    return redact(text, os.environ)


def inherited(**changes: str) -> dict[str, str]:
    """Return this process's own variables with `changes`, for a program that needs PATH, HOME and the like."""
    return {**os.environ, **changes}


def surroundings(variables: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return what a process that we start gets beside its own variables: programs, home, language, certificates.

    The folder of the running Python comes first in PATH, so that `#!/usr/bin/env python3` finds this one.
    """
    path = variables.get("PATH") or os.defpath
    found = {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{path}"}
    return found | {
        name: variables[name] for name in ("HOME", "LANG", "SSL_CERT_FILE", "SSL_CERT_DIR") if variables.get(name)
    }


def of_libpq(variables: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return libpq's own variables: whoever connects for us must reach the same server, with the same service file."""
    return {name: value for name, value in variables.items() if name.startswith("PG")}


def serve_token(variables: Mapping[str, str] = os.environ) -> str | None:
    """Return the token that `gaia serve` demands from its readers, None where none is set."""
    return variables.get("GAIA_SERVE_TOKEN") or None


def of_load_worker(variables: Mapping[str, str] = os.environ) -> str | None:
    """Return the admin token of the target to which a worker sends a part of a load, None where none is set."""
    return variables.get("GAIA_ADMIN_TOKEN") or None
