"""Commands that let a release into the next stage: `gaia sign-off`, `checklist` and `promote`."""

import json
from dataclasses import asdict

import click

from gaia_checks.cli.parameters import env_argument, env_option, json_option, phase_to_enter, remote_option
from gaia_checks.environment import environment_file
from gaia_checks.errors import ConfigurationError


@click.command("sign-off")
@env_argument()
@phase_to_enter
@click.option("--item", metavar="ITEM", required=True, help="the item of the checklist; see: gaia checklist ENV PHASE")
@remote_option
def sign_off_command(env: str, phase: str, item: str, remote: str | None) -> None:
    """Sign one item of ENV's checklist, with your SSH key."""
    from gaia_checks.promotion import sign_off

    print(sign_off.sign_off(environment_file.load(env), phase, item, remote))


@click.command("checklist")
@env_argument()
@phase_to_enter
@remote_option
@json_option
def checklist_command(env: str, phase: str, remote: str | None, *, as_json: bool) -> int:
    """Show what lets a release into ENV: proven, signed or missing; exit code 1 when something is missing."""
    from gaia_checks import tables
    from gaia_checks.promotion import checklist

    items = checklist.checklist(environment_file.load(env), phase, remote)
    if as_json:
        print(json.dumps([asdict(item) for item in items], indent=2))
    else:
        tables.show(("item", "state", "by", "at"), [tuple(asdict(item).values()) for item in items])
    return 1 if any(item.state == "missing" for item in items) else 0


@click.command("promote")
@click.argument("phase", help="the phase that was deployed and gated")
@env_option("--to", "the environment of the next stage", required=True)
@remote_option
@click.option("--force", "forced", is_flag=True, help="although something is missing; needs --by and --why")
@click.option("--by", metavar="NAME", help="who forces, as in allowed_signers")
@click.option("--why", metavar="TEXT", help="why it is forced")
def promote_command(phase: str, to: str, remote: str | None, by: str | None, why: str | None, *, forced: bool) -> None:
    """Cut the next stage's signed tag, if signed verdict and sign-offs allow it."""
    from gaia_checks.promotion import promote

    if forced != bool(by and why):
        raise ConfigurationError('promote: --force, --by NAME and --why "..." belong together')
    done = promote.force(phase, to, by or "", why or "", remote) if forced else promote.promote(phase, to, remote)
    print(*done, sep="\n")
