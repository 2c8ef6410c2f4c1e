"""The exit code of a gate: 0 and 1 come from the verdict alone, whatever else runs in this process.

Left to itself, pytest ends with what the last plugin set or raised, with 1 when its output is a closed pipe, and
with whatever a plugin passes to `os._exit`.
"""

import atexit
import contextlib
import os
import sys
from collections.abc import Generator
from typing import Final

import pytest

_OF_PYTEST = (
    pytest.ExitCode.INTERRUPTED,
    pytest.ExitCode.INTERNAL_ERROR,
    pytest.ExitCode.USAGE_ERROR,
    pytest.ExitCode.NO_TESTS_COLLECTED,
)


def leads(config: pytest.Config) -> bool:
    """Whether this process controls a gate."""
    option = config.option
    shows_only = option.dry_run or option.help or option.version
    return option.env is not None and not shows_only and not hasattr(config, "workerinput")


class ExitCode:
    """Keep the exit code of this process, and end the process with it."""

    NAME: Final = "gaia-exit-code"

    def __init__(self) -> None:
        self._code: int = pytest.ExitCode.INTERNAL_ERROR
        self._decided = False
        self._end = os._exit  # before it is replaced

    def decide(self, status: int | None, otherwise: int) -> int:
        """Fix the exit code, which nothing later can change: 2, 3, 4 or 5 of pytest itself, or another. Return it."""
        if not self._decided:
            self._code, self._decided = int(status if status in _OF_PYTEST else otherwise), True
        return self._code

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_cmdline_main(self, config: pytest.Config) -> Generator[None, int | None, int | None]:
        """Return the decided code; without one, what pytest says of itself, or 3."""
        if not leads(config):
            return (yield)
        arguments = list(config.invocation_params.args)
        if sys.orig_argv[-len(arguments) :] == arguments:  # otherwise a script called pytest, and goes on afterwards
            self._take_over()
        status: int | None = pytest.ExitCode.INTERNAL_ERROR
        try:
            status = yield
        except pytest.UsageError:
            status = pytest.ExitCode.USAGE_ERROR
            raise
        except KeyboardInterrupt:
            status = pytest.ExitCode.INTERRUPTED
            raise
        finally:
            self.decide(status, pytest.ExitCode.INTERNAL_ERROR)
        return self._code

    def _take_over(self) -> None:
        """End this process with the decided code, however it ends."""
        pid = os.getpid()
        os._exit = lambda status: self._end(self._code if os.getpid() == pid else status)
        for name in ("stdout", "stderr"):
            if getattr(sys, name) is None:  # it was closed before Python started
                setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123, SIM115 - lasts as long as the process
        atexit.register(self._leave)

    def _leave(self) -> None:
        """Run what others registered before this, and end: Python's own end would report a closed pipe as 120."""
        atexit.unregister(self._leave)
        atexit._run_exitfuncs()  # noqa: SLF001 - the rest of the list, which the end below would skip
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError, AttributeError):
                stream.flush()
        self._end(self._code)


def of(config: pytest.Config) -> ExitCode:
    """Return the exit code of the gate in this process."""
    found = config.pluginmanager.get_plugin(ExitCode.NAME)
    assert isinstance(found, ExitCode)  # noqa: S101 - for the type checker: the plugin registers it
    return found
