"""A real git remote: its tags with their commits, its branches, and one that does not answer."""

from pathlib import Path

import pytest

from gaia_checks import environment as environments
from gaia_checks.deploy.git import remote
from gaia_checks.deploy.git.remote import Remote
from gaia_checks.errors import ConfigurationError, RemoteAway
from tests.support.forge import Forge, forge


@pytest.fixture
def origin(tmp_path: Path) -> Forge:
    """A repository with one release on all branches."""
    made = forge(tmp_path / "forge")
    made.fake("1")
    return made


@pytest.fixture
def there(origin: Forge, tmp_path: Path) -> Remote:
    """The same, as a machine sees it that deploys."""
    return Remote(origin.url, tmp_path / "remotes" / "mirror.git")


def test_tags_are_seen_with_their_commits_oldest_first(origin: Forge, there: Remote) -> None:
    """Annotated and lightweight ones; one that is on no commit has none; other tags are not looked at."""
    first = origin.git("rev-parse", "HEAD")
    origin.tag("deploy/qa/phase-2")
    origin.git("tag", "deploy/qa/phase-10")
    blob = origin.git("hash-object", "-w", "migrations/order.txt")
    origin.git("tag", "deploy/qa/blob", blob)
    origin.git("tag", "v1")
    origin.git("push", "--quiet", "--tags")
    there.fetch()
    assert there.tags()["deploy/qa/blob"] is None
    assert {name: commit for name, commit in there.tags().items() if commit} == {
        "deploy/qa/phase-2": first,
        "deploy/qa/phase-10": first,
    }
    origin.untag("deploy/qa/phase-2")
    there.fetch()
    assert set(there.tags()) == {"deploy/qa/phase-10", "deploy/qa/blob"}


def test_a_branch_contains_its_history_and_nothing_else(origin: Forge, there: Remote) -> None:
    """A branch that is not there contains nothing; names are not patterns."""
    first = origin.git("rev-parse", "HEAD")
    second = origin.fake("2", "develop")
    there.fetch()
    assert there.contains("develop", second)
    assert there.contains("qa", first)
    assert not there.contains("qa", second)
    assert not there.contains("elsewhere", first)
    assert not there.contains("dev", first)


def test_a_tag_is_cut_on_the_remote(origin: Forge, there: Remote) -> None:
    """It is annotated with the reason and the account."""
    commit = origin.git("rev-parse", "HEAD")
    there.fetch()
    there.cut("deploy/qa/phase-1", commit, "it passed")
    assert origin.tags() == {"deploy/qa/phase-1": commit}
    there.fetch()
    assert there.tags() == {"deploy/qa/phase-1": commit}


def test_a_tag_that_somebody_else_was_faster_with_is_not_moved(origin: Forge, there: Remote) -> None:
    """The push is refused, and no tag of ours stays behind."""
    there.fetch()
    first = origin.git("rev-parse", "HEAD")
    second = origin.fake("2")
    origin.tag("deploy/qa/phase-1", second)
    with pytest.raises(RemoteAway, match="already exists"):
        there.cut("deploy/qa/phase-1", first, "it passed")
    assert origin.tags() == {"deploy/qa/phase-1": second}
    assert there.tags() == {}


def test_a_remote_that_is_away_is_named_without_its_password(tmp_path: Path) -> None:
    """The message says where; what git says comes with it."""
    gone = Remote("ssh://me:canary-8c1@127.0.0.1:1/x.git", tmp_path / "mirror.git")
    with pytest.raises(RemoteAway, match=r"ssh://me:\*\*\*@127\.0\.0\.1:1/x\.git: ") as raised:
        gone.fetch()
    assert "canary" not in str(raised.value)


def test_the_remote_comes_from_the_option_or_the_file(tmp_path: Path) -> None:
    """The option goes first; without either the message says where to put it."""
    file = tmp_path / "there.toml"
    text = '[environment]\nstage = "qa"\ndatabase = "external"\nhost = "127.0.0.1"\n'
    file.write_text(f'{text}remote = "/srv/gaia.git"\n')
    environment = environments.load(str(file), variables={"GAIA_HOME": str(tmp_path)})
    assert remote.of(environment).url == "/srv/gaia.git"
    assert remote.of(environment, "/srv/other.git").url == "/srv/other.git"
    assert remote.of(environment).mirror != remote.of(environment, "/srv/other.git").mirror
    file.write_text(text)
    with pytest.raises(ConfigurationError, match=r"give --remote URL, or set remote in there\.toml"):
        remote.of(environments.load(str(file), variables={}))


@pytest.mark.parametrize(
    "url", ["https://canary-8c1@git.test/x.git", "HTTP://canary-8c1:@git.test/x.git", "ssh://me:canary-8c1@git.test/x"]
)
def test_a_remote_with_a_secret_is_refused(tmp_path: Path, url: str) -> None:
    """The option's URL goes into git's command line and into messages: it may hold no password and no token."""
    file = tmp_path / "there.toml"
    file.write_text('[environment]\nstage = "qa"\ndatabase = "external"\nhost = "127.0.0.1"\n')
    there = environments.load(str(file), variables={"GAIA_HOME": str(tmp_path)})
    with pytest.raises(ConfigurationError, match=r"^--remote: give a URL without a password or token; ") as raised:
        remote.of(there, url)
    assert "canary" not in str(raised.value)
    assert remote.of(there, "ssh://git@git.test/x.git").url == "ssh://git@git.test/x.git"
