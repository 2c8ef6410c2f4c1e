"""Commands that run until they are stopped: `gaia watch`, `serve` and `supervise`."""

import click

from gaia_checks.cli.parameters import SETTINGS, env_argument, env_option, remote_option
from gaia_checks.environment import environment_file, process_variables


@click.command("watch", context_settings=SETTINGS)
@env_option("--env", "may be repeated; all by default", multiple=True)
@remote_option
@click.option(
    "--every", "every_s", type=click.FloatRange(min=0.1), default=10, help="seconds between two checks of the tags"
)
def watch_command(env: tuple[str, ...], remote: str | None, every_s: float) -> None:
    """Deploy and gate new tags until SIGTERM."""
    from gaia_checks import watch

    watch.watch(list(env), remote, every_s, lambda text: print(text, flush=True))


@click.command("serve", context_settings=SETTINGS)
@click.option(
    "--host",
    metavar="ADDRESS",
    default="127.0.0.1",
    help="where to listen; beyond loopback it needs GAIA_SERVE_TOKEN",
)
@click.option("--port", type=click.IntRange(0, 65535), default=8720, help="0 takes a free one")
@remote_option
def serve_command(host: str, port: int, remote: str | None) -> None:
    """Show what `gaia status --all` shows as one live, read-only page, until Ctrl-C."""
    from gaia_checks.serve import page_server

    page_server.serve(host, port, process_variables.serve_token(), remote, lambda text: print(text, flush=True))


@click.command("supervise", hidden=True)
@env_argument()
def supervise_command(env: str) -> None:
    """Supervise an environment's server, in the background."""
    from gaia_checks.deploy.supervisor import daemon

    daemon.supervise(environment_file.load(env))
