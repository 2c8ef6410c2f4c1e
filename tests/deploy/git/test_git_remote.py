"""A real git remote: its tags with their commits, its branches, and an unreachable remote."""

from pathlib import Path

import pytest

from gaia_checks.deploy.git import git_remote
from gaia_checks.deploy.git.git_remote import GitRemote
from gaia_checks.environment import environment_file
from gaia_checks.errors import ConfigurationError, RemoteUnreachable
from tests.support.forge import Forge, forge


@pytest.fixture
def origin(tmp_path: Path) -> Forge:
    """Create a repository with one release on all branches."""
    created = forge(tmp_path / "forge")
    created.fake("1")
    return created


@pytest.fixture
def mirrored(origin: Forge, tmp_path: Path) -> GitRemote:
    """Return the same remote as a deploying machine uses it."""
    return GitRemote(origin.url, tmp_path / "remotes" / "mirror.git")


def test_tags_are_listed_with_their_commits(origin: Forge, mirrored: GitRemote) -> None:
    """Annotated and lightweight tags have their commit, a tag of a blob has None, other tags are ignored."""
    first = origin.git("rev-parse", "HEAD")
    origin.tag("deploy/qa/phase-2")
    origin.git("tag", "deploy/qa/phase-10")
    blob = origin.git("hash-object", "-w", "migrations/order.txt")
    origin.git("tag", "deploy/qa/blob", blob)
    origin.git("tag", "v1")
    origin.git("push", "--quiet", "--tags")
    mirrored.fetch()
    assert mirrored.tags()["deploy/qa/blob"] is None
    assert {name: commit for name, commit in mirrored.tags().items() if commit} == {
        "deploy/qa/phase-2": first,
        "deploy/qa/phase-10": first,
    }
    origin.untag("deploy/qa/phase-2")
    mirrored.fetch()
    assert set(mirrored.tags()) == {"deploy/qa/phase-10", "deploy/qa/blob"}


def test_a_branch_contains_its_history_and_nothing_else(origin: Forge, mirrored: GitRemote) -> None:
    """A missing branch contains nothing; branch names are not patterns."""
    first = origin.git("rev-parse", "HEAD")
    second = origin.fake("2", "develop")
    mirrored.fetch()
    assert mirrored.contains("develop", second)
    assert mirrored.contains("qa", first)
    assert not mirrored.contains("qa", second)
    assert not mirrored.contains("elsewhere", first)
    assert not mirrored.contains("dev", first)


def test_a_new_tag_is_pushed_to_the_remote(origin: Forge, mirrored: GitRemote) -> None:
    """A new tag reaches the remote and the next fetch."""
    commit = origin.git("rev-parse", "HEAD")
    mirrored.fetch()
    mirrored.cut("deploy/qa/phase-1", commit, "it passed")
    assert origin.tags() == {"deploy/qa/phase-1": commit}
    mirrored.fetch()
    assert mirrored.tags() == {"deploy/qa/phase-1": commit}


def test_a_tag_that_already_exists_on_the_remote_is_not_moved(origin: Forge, mirrored: GitRemote) -> None:
    """When the remote already has the tag, the push fails and the local tag is deleted."""
    mirrored.fetch()
    first = origin.git("rev-parse", "HEAD")
    second = origin.fake("2")
    origin.tag("deploy/qa/phase-1", second)
    with pytest.raises(RemoteUnreachable, match="already exists"):
        mirrored.cut("deploy/qa/phase-1", first, "it passed")
    assert origin.tags() == {"deploy/qa/phase-1": second}
    assert mirrored.tags() == {}


def test_an_unreachable_remote_is_named_without_its_password(tmp_path: Path) -> None:
    """The error names the URL without its password and quotes git's message."""
    unreachable = GitRemote("ssh://me:canary-8c1@127.0.0.1:1/x.git", tmp_path / "mirror.git")
    with pytest.raises(RemoteUnreachable, match=r"ssh://me:\*\*\*@127\.0\.0\.1:1/x\.git: ") as raised:
        unreachable.fetch()
    assert "canary" not in str(raised.value)


def test_the_remote_comes_from_the_option_or_the_file(tmp_path: Path) -> None:
    """The option takes precedence; without either the error says where to set the remote."""
    file = tmp_path / "there.toml"
    text = '[environment]\nstage = "qa"\ndatabase = "external"\nhost = "127.0.0.1"\n'
    file.write_text(f'{text}remote = "/srv/gaia.git"\n')
    environment = environment_file.load(str(file), variables={"GAIA_HOME": str(tmp_path)})
    assert git_remote.of(environment).url == "/srv/gaia.git"
    assert git_remote.of(environment, "/srv/other.git").url == "/srv/other.git"
    assert git_remote.of(environment).mirror != git_remote.of(environment, "/srv/other.git").mirror
    file.write_text(text)
    with pytest.raises(ConfigurationError, match=r"give --remote URL, or set remote in there\.toml"):
        git_remote.of(environment_file.load(str(file), variables={}))


@pytest.mark.parametrize(
    "url", ["https://canary-8c1@git.test/x.git", "HTTP://canary-8c1:@git.test/x.git", "ssh://me:canary-8c1@git.test/x"]
)
def test_a_remote_with_a_secret_is_refused(tmp_path: Path, url: str) -> None:
    """A URL with a password or token is refused, because it would appear in arguments and messages."""
    file = tmp_path / "there.toml"
    file.write_text('[environment]\nstage = "qa"\ndatabase = "external"\nhost = "127.0.0.1"\n')
    environment = environment_file.load(str(file), variables={"GAIA_HOME": str(tmp_path)})
    with pytest.raises(ConfigurationError, match=r"^--remote: give a URL without a password or token; ") as raised:
        git_remote.of(environment, url)
    assert "canary" not in str(raised.value)
    assert git_remote.of(environment, "ssh://git@git.test/x.git").url == "ssh://git@git.test/x.git"
