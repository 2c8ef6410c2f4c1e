"""The ground that promotions are tried on."""

from pathlib import Path

import pytest

from tests.promotion.ground import Ground, make


@pytest.fixture
def ground(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ground:
    """A repository with keys and one release tagged for dev."""
    return make(tmp_path, monkeypatch)
