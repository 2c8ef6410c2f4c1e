"""The browser: its reachable hosts, and the errors without one."""

from pathlib import Path

import pytest

from gaia_checks.errors import MissingDependency
from gaia_checks.probes.dashboard import browser


def test_it_reaches_one_server_under_its_own_name() -> None:
    """Only the target is reachable, through a local port; an IPv6 address has brackets."""
    assert browser.reaching("qa.example", 443, 5000)[1] == (
        "--host-resolver-rules=MAP qa.example:443 127.0.0.1:5000, MAP * ~NOTFOUND"
    )
    assert browser.reaching("::1", 8080, 5000)[1] == (
        "--host-resolver-rules=MAP [::1]:8080 127.0.0.1:5000, MAP * ~NOTFOUND"
    )


def test_a_missing_browser_is_named_with_its_remedy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without a browser, the message names the command that installs one."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("PLAYWRIGHT_BROWSERS_PATH", str(tmp_path))
    with pytest.raises(MissingDependency, match="no Chromium found; run `apt-get install -y chromium`"):
        browser.executable()


def test_a_browser_that_does_not_start_is_no_browser(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A browser that exits at once raises MissingDependency."""
    fake = tmp_path / "chromium"
    fake.write_text("#!/bin/sh\nexit 1\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    with pytest.raises(MissingDependency, match=r"chromium does not start \(.*\); run"), browser.launched():
        pass
