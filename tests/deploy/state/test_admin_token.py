"""The admin token of a deployment."""

import stat
from pathlib import Path

import httpx
import pytest

from gaia_checks.deploy.state import admin_token, paths
from gaia_checks.environment import environment_file
from gaia_checks.environment.environment import Environment
from gaia_checks.errors import ConfigurationError
from gaia_checks.gate.run import gated_target
from tests.deploy.stage import Stage
from tests.support import plain_http


def environment(folder: Path, more: str = "", host: str = "127.0.0.1", **variables: str) -> Environment:
    """Load an environment with folders of its own."""
    file = folder / "x.toml"
    file.write_text(f'[environment]\nstage = "dev"\ndatabase = "none"\nhost = "{host}"\n{more}')
    found = environment_file.load(
        str(file), variables={"GAIA_HOME": str(folder), "GAIA_LOG_DIR": str(folder), **variables}
    )
    paths.prepare(paths.of(found))
    return found


def test_a_token_is_made_once_and_kept(tmp_path: Path) -> None:
    """It is long, private, the same for every command, passed to the server, and never shown."""
    here = environment(tmp_path)
    assert here.admin_token is None
    admin_token.ensure(here)
    made = here.admin_token or ""
    assert len(made) >= 32
    assert stat.S_IMODE(here.token_file.stat().st_mode) == 0o600
    admin_token.ensure(here)
    assert environment(tmp_path).admin_token == here.variables()["ADMIN_TOKEN"] == made
    assert here.redact(f"sent {made}") == "sent ***"
    assert made in here.secrets
    assert made not in repr(here)


def test_a_given_token_wins(tmp_path: Path) -> None:
    """Nothing is made where ADMIN_TOKEN is set."""
    here = environment(tmp_path, ADMIN_TOKEN="canary-token")
    admin_token.ensure(here)
    assert here.admin_token == "canary-token"
    assert not here.token_file.exists()


def test_a_short_token_where_other_machines_reach_it(tmp_path: Path) -> None:
    """It is refused before anything starts, and not shown."""
    with pytest.raises(ConfigurationError, match=r"x: ADMIN_TOKEN is shorter than 16 characters, and") as caught:
        admin_token.ensure(environment(tmp_path, host="0.0.0.0", ADMIN_TOKEN="canary-token"))
    assert "canary" not in str(caught.value)


def test_a_made_token_is_sent_to_no_other_server(tmp_path: Path) -> None:
    """A gate of a server elsewhere does not send the token of the one deployed here."""
    here = environment(tmp_path, 'base_url = "http://127.0.0.1:9"\n')
    admin_token.ensure(here)
    assert gated_target.find(here, "run").admin_token is None


def test_a_deployed_server_gets_it(stage: Stage) -> None:
    """The server's variable is what the gate sends."""
    stage.deploy()
    made = stage.environment.admin_token
    assert made
    assert stage.get("/environ")["ADMIN_TOKEN"] == made
    assert gated_target.find(stage.environment, "run").admin_token == made
    with pytest.raises(httpx.HTTPStatusError):
        plain_http.get(f"{stage.url}/nothing").raise_for_status()
