"""Whether an executable can run here."""

import pytest

from gaia_checks.deploy.release import executable


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        (b"#!/usr/bin/env python3\n", None),
        (b"#!/usr/bin/env -S python3 -u\n", None),
        (b"#!/usr/bin/env -S LANG=C python3\n", None),
        (b"#!/usr/bin/env -S nowhere3 -u\n", "its interpreter nowhere3 is not on this machine; install it"),
        (b"#!/nowhere/python3 sh\n", "its interpreter /nowhere/python3 is not on this machine; install it"),
    ],
)
def test_the_interpreter_of_a_script_is_found_behind_envs_options(line: bytes, wrong: str | None) -> None:
    """`env -S` takes options and variables before the program's name."""
    assert executable.unfit(line, "x86_64") == wrong
