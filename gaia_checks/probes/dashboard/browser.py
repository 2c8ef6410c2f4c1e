"""Finds and starts the browser, and limits what it can reach."""

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

from playwright.sync_api import Browser, Error, sync_playwright

from gaia_checks.errors import MissingDependency

ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
"""Arguments that keep the browser from sending requests of its own."""

_INSTALLED = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_INSTALL = "run `apt-get install -y chromium`, or `.venv/bin/playwright install chromium`"


def executable() -> Path:
    """Return the installed Chromium, else the one that Playwright downloaded. Raises MissingDependency."""
    for name in _INSTALLED:
        if found := shutil.which(name):
            return Path(found)
    with sync_playwright() as playwright:
        own = Path(playwright.chromium.executable_path)
    if own.exists():
        return own
    raise MissingDependency(f"no Chromium found; {_INSTALL}")


def reaching(host: str, port: int, through: int) -> tuple[str, ...]:
    """Return the arguments of a browser that reaches only one server, through a port of this machine. Pure.

    The server keeps its name in the address, as origin, for its cookies and on its certificate.
    """
    name = f"[{host}]" if ":" in host else host
    return (
        "--no-proxy-server",
        f"--host-resolver-rules=MAP {name}:{port} 127.0.0.1:{through}, MAP * ~NOTFOUND",
    )


def trusting(key: str) -> tuple[str, ...]:
    """Return the arguments of a browser that trusts certificates with this key (`tls_pin.fingerprint`). Pure."""
    return (f"--ignore-certificate-errors-spki-list={key}",)


@contextlib.contextmanager
def launched(*arguments: str) -> Iterator[Browser]:
    """Run a browser with further arguments. It exits with the context, and with this process however that exits.

    Raises MissingDependency when none is installed, or when it does not start.
    """
    path = executable()
    with sync_playwright() as playwright:
        try:
            browser = playwright.chromium.launch(
                executable_path=path,
                args=[*ARGUMENTS, *arguments],
                handle_sigint=False,  # the interrupted process closes the browser
                handle_sigterm=False,
                handle_sighup=False,
            )
        except Error as error:
            raise MissingDependency(f"{path} does not start ({first_line(error)}); {_INSTALL}") from None
        try:
            yield browser
        finally:
            with contextlib.suppress(Error):  # it is gone already
                browser.close()


def first_line(error: Error) -> str:
    """Return the error's first line. The rest quotes typed text, which may contain a secret."""
    return error.message.partition("\n")[0]


def ordinary(version: str) -> str:
    """Return the User-Agent of this browser with a window; without one it would name itself headless. Pure."""
    major = version.partition(".")[0]
    return f"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{major}.0.0.0 Safari/537.36"
