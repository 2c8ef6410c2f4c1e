"""The symlinks `current` (the release that serves) and `previous` (the one before it)."""

from pathlib import Path


def point(releases: Path, *, current: Path, previous: Path | None) -> None:
    """Point `current` to the release and `previous` to the one before it, each by one atomic rename.

    Idempotent. Deploying a release over itself keeps `previous`.
    """
    if previous and previous != current:
        _link(releases / "previous", Path(previous.name))
    _link(releases / "current", Path(current.name))


def restore(releases: Path, *, current: Path | None, previous: Path | None) -> None:
    """Restore both links to their state before a deployment; remove a link that did not exist."""
    for name, to in (("current", current), ("previous", previous)):
        if to:
            _link(releases / name, Path(to.name))
        else:
            (releases / name).unlink(missing_ok=True)


def target(releases: Path, name: str) -> Path | None:
    """Return the folder that a link points to; None when there is no link or no folder."""
    link = releases / name
    return releases / link.readlink() if link.is_symlink() and link.exists() else None


def _link(link: Path, to: Path) -> None:
    new = link.with_name(f".{link.name}.new")
    new.unlink(missing_ok=True)
    new.symlink_to(to)
    new.replace(link)
