"""Copies of a gate's results where `--junitxml` and `--alluredir` want them; the evidence keeps its own."""

import argparse
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from gaia_checks.report import evidence


@dataclass(frozen=True)
class Copies:
    """Where else the results are wanted; None: nowhere."""

    junit: Path | None
    allure: Path | None
    clean_allure: bool

    def write(self, folder: Path) -> None:
        """Copy the results of the evidence in `folder`. Raises OSError."""
        if self.junit and (folder / evidence.JUNIT).exists():
            self.junit.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(folder / evidence.JUNIT, self.junit)
        if self.allure and (folder / evidence.RESULTS).exists():
            self.allure.mkdir(parents=True, exist_ok=True)
            for old in [path for path in self.allure.iterdir() if path.is_file()] if self.clean_allure else ():
                old.unlink()
            shutil.copytree(folder / evidence.RESULTS, self.allure, dirs_exist_ok=True)


def of(option: argparse.Namespace) -> Copies:
    """Return what pytest's options ask for, as absolute paths."""
    junit, allure = getattr(option, "xmlpath", None), getattr(option, "allure_report_dir", None)
    return Copies(_path(junit), _path(allure), bool(getattr(option, "clean_alluredir", False)))


def _path(text: str | None) -> Path | None:
    return Path(os.path.expandvars(text)).expanduser().absolute() if text else None
