"""The server under the gate, and everything this machine can observe of it."""

from dataclasses import replace

from gaia_checks import jsonl
from gaia_checks.deploy import rollout
from gaia_checks.deploy.git.tag import WORKTREE
from gaia_checks.deploy.release import links, release_folder
from gaia_checks.deploy.state import paths
from gaia_checks.environment.environment import Environment
from gaia_checks.errors import TargetUnreachable
from gaia_checks.judge.applicability import fact_name
from gaia_checks.model import Measurement, Target


def deployed_by_gate(environment: Environment) -> bool:
    """Whether the gate deploys the working tree itself: on this machine, unless a running server is configured.

    What was deployed by tag is gated as it is, and never replaced.
    """
    here = environment.base_url is None and environment.database == "embedded"
    return here and not _deployed_by_tag(environment)


def _deployed_by_tag(environment: Environment) -> bool:
    """Whether a tag's release serves here or, where nothing does, served last."""
    release = rollout.status(environment).release_dir or links.target(paths.of(environment).releases, "current")
    return release is not None and release_folder.describe(release).phase != WORKTREE


def facts(environment: Environment, target: Target) -> list[Measurement]:
    """Measure the facts on which criteria depend by `applies_when`, from the target and the releases kept here."""
    secure = target.base_url.startswith("https:")
    kept = target.release is not None and links.target(paths.of(environment).releases, "previous") is not None
    return [
        _fact("tls", secure, f"the target's address is {'https' if secure else 'plain http: it has no TLS'}"),
        _fact("previous_release", kept, f"{'the' if kept else 'no'} previous release is kept here"),
        _fact("instances", bool(target.instances), _named(target)),
    ]


def _named(target: Target) -> str:
    if not target.instances:
        return "the environment file names no instances: the gate knows one address"
    return f"{len(target.instances)} behind {target.base_url}: {', '.join(target.instances)}"


def _fact(name: str, value: bool, how: str) -> Measurement:
    return Measurement(fact_name(name), value, "bool", 1, 0.0, jsonl.now(), how)


def find(environment: Environment, run: str) -> Target:
    """Return the target of `environment`: the server deployed here, else the one at its base_url.

    The process and release of a server that was not deployed here are unknown, and so is its log unless the
    environment file sets it; nor does it receive the token that a deployment created here.
    Raises TargetUnreachable if there is neither.
    """
    status = rollout.status(environment)
    target = Target(
        environment=environment.name,
        base_url=environment.base_url or status.base_url,
        instances=environment.instances,
        run=run,
        admin_token=environment.values.get("ADMIN_TOKEN"),
        database_url=environment.values.get("DATABASE_URL"),
        log=environment.log,
        names=environment.names,
        client_names=environment.client_names,
        secrets=environment.secrets,
    )
    if status.state != "stopped" and target.base_url in (status.base_url, environment.local_url):
        return replace(
            target,
            admin_token=environment.admin_token,
            trusted_proxies=environment.values.get("TRUSTED_PROXIES", ""),
            release=status.release,
            process=status.process,
            log=environment.log or status.log,
            database_url=status.database_url or target.database_url,
        )
    if environment.base_url is None:
        raise TargetUnreachable(
            f"{environment.name}: no server is deployed on this machine; "
            f"run `gaia deploy {environment.name} PHASE`, or set base_url in {environment.path.name}"
        )
    return target
