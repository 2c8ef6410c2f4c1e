"""`current` and `previous`: which release serves, and which served before it."""

from pathlib import Path


def point(releases: Path, *, current: Path, previous: Path | None) -> None:
    """Let `current` point to the release, and `previous` to the one before it, each by one rename.

    Doing it again changes nothing. A release deployed anew over itself keeps its `previous`.
    """
    if previous and previous != current:
        _link(releases / "previous", Path(previous.name))
    _link(releases / "current", Path(current.name))


def restore(releases: Path, *, current: Path | None, previous: Path | None) -> None:
    """Let both point to what they did before a deployment, to nothing where there was none."""
    for name, to in (("current", current), ("previous", previous)):
        if to:
            _link(releases / name, Path(to.name))
        else:
            (releases / name).unlink(missing_ok=True)


def target(releases: Path, name: str) -> Path | None:
    """Return the folder that a link points to, None when there is none."""
    link = releases / name
    return releases / link.readlink() if link.is_symlink() and link.exists() else None


def _link(link: Path, to: Path) -> None:
    new = link.with_name(f".{link.name}.new")
    new.unlink(missing_ok=True)
    new.symlink_to(to)
    new.replace(link)
