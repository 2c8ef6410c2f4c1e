"""Puts what a gate reads beside the package into the wheel: whoever installs gaia-checks needs no clone of it."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

SHIPPED = ("suites", "locustfiles", "starter", "docs/monitoring")
"""Folders of this one that become `gaia_checks/shipped/`, as `environment/project.py` expects it."""


class BuildWithFolders(build_py):
    """Copies the folders beside the modules; an editable installation reads them where they are."""

    def run(self) -> None:
        """Build the modules, then the folders."""
        super().run()
        if not self.editable_mode:
            for name in SHIPPED:
                target = Path(self.build_lib, "gaia_checks", "shipped", name)
                shutil.copytree(name, target, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))


setup(cmdclass={"build_py": BuildWithFolders})
