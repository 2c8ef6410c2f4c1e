"""Where the browser is."""

import shutil
from pathlib import Path

from playwright.sync_api import sync_playwright

from gaia_checks.errors import MissingDependency

ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
"""What a browser that only looks at one page is started with: it asks nobody else for anything."""

_INSTALLED = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def executable() -> Path:
    """Return the Chromium that is installed, else the one that Playwright downloaded. Raises MissingDependency."""
    for name in _INSTALLED:
        if found := shutil.which(name):
            return Path(found)
    with sync_playwright() as playwright:
        own = Path(playwright.chromium.executable_path)
    if own.exists():
        return own
    raise MissingDependency(
        "no Chromium found; run `apt-get install -y chromium`, or `.venv/bin/playwright install chromium`"
    )
