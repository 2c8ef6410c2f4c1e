"""`gaia init`: write what is needed to gate a server of one's own: commented files that are valid as they stand."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

from gaia_checks.environment import file_entries
from gaia_checks.environment.project import ROOT
from gaia_checks.errors import ConfigurationError

FILES = ROOT / "starter"
_ADDRESS = '"http://127.0.0.1:8080"'
_NEXT = """next:
  export ADMIN_TOKEN=...                   # the token of your server's admin API
  gaia doctor dev                          # what will be judged, and which setting would add the rest
  pytest -c gaia.ini --env=dev --dry-run   # what would be sent; nothing is
  pytest -c gaia.ini --env=dev"""


def write(url: str, folder: Path) -> Iterator[str]:
    """Write the files for the server at `url` into `folder`; yield a line for each, and what to do next.

    What exists is kept. Raises ConfigurationError for an address that no server can have, and inside gaia-checks.
    """
    address = file_entries.base_url("gaia init", {"base_url": url})
    if folder.is_relative_to(ROOT):
        raise ConfigurationError(f"{folder} belongs to gaia-checks; run gaia init in the folder of your own project")
    for source in sorted(path for path in FILES.rglob("*") if path.suffix in (".ini", ".py", ".sh", ".toml")):
        name = source.relative_to(FILES)
        if (folder / name).exists():
            yield f"kept {name}, which exists"
            continue
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(source.read_text(encoding="utf-8").replace(_ADDRESS, json.dumps(address)))
        shutil.copymode(source, folder / name)
        yield f"wrote {name}"
    (folder / "reports").mkdir(exist_ok=True)
    (folder / "reports" / ".gitignore").write_text("*\n")
    yield _NEXT
