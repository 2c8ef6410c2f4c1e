"""The check whether this machine can execute a file."""

import pytest

from gaia_checks.deploy.release import executable


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"#!/usr/bin/env python3\n", None),
        (b"#!/usr/bin/env -S python3 -u\n", None),
        (b"#!/usr/bin/env -S LANG=C python3\n", None),
        (b"#!/usr/bin/env -S nowhere3 -u\n", "its interpreter nowhere3 is not installed; install it"),
        (b"#!/nowhere/python3 sh\n", "its interpreter /nowhere/python3 is not installed; install it"),
    ],
)
def test_the_interpreter_of_a_script_is_found_after_the_options_of_env(line: bytes, reason: str | None) -> None:
    """The check skips options and variables between `env -S` and the interpreter."""
    assert executable.unfit(line, "x86_64") == reason
