"""gaia_server with a small change of its source, as one executable file."""

import shutil
import sys
import zipapp
from pathlib import Path

from gaia_checks.environment.project import ROOT

Change = tuple[str, str, str]
"""A file of gaia_server, a text in it, and its replacement."""

_SCRIPT = """
import sys
sys.path.insert(0, {folder!r})
from gaia_server.__main__ import main
main()
"""


def write(folder: Path, *changes: Change) -> Path:
    """Write the changed source and the executable that runs it below `folder`; return the executable."""
    folder.mkdir()
    source, main = folder / "gaia_server", folder / "main"
    shutil.copytree(ROOT / "gaia_server", source, ignore=shutil.ignore_patterns("__pycache__"))
    for name, old, new in changes:
        text = (source / name).read_text()
        assert old in text, f"{name} has no {old!r}"
        (source / name).write_text(text.replace(old, new))
    main.mkdir()
    (main / "__main__.py").write_text(_SCRIPT.format(folder=str(folder)))
    executable = folder / "executable"
    zipapp.create_archive(main, executable, interpreter=sys.executable)
    return executable
