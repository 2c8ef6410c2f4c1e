"""Every command of `gaia`, in the order of its help, as data: name, help, and the module that has it."""

from typing import NamedTuple


class CommandEntry(NamedTuple):
    """One command. `help` is the first paragraph of its own; `module` has it as NAME_command."""

    name: str
    help: str
    module: str
    hidden: bool = False


COMMANDS = (
    CommandEntry("init", "Write into the current folder what a gate of your own server needs.", "own_project"),
    CommandEntry(
        "release",
        "Build the working tree's server, commit the executable, and tag it for the first environment.",
        "deployments",
    ),
    CommandEntry("deploy", "Deploy a release completely, or keep the previous one.", "deployments"),
    CommandEntry(
        "rollback",
        "Roll back to the previous release; the schema stays unless --database is given.",
        "deployments",
    ),
    CommandEntry("stop", "Stop the server, its supervisor and an embedded PostgreSQL.", "deployments"),
    CommandEntry(
        "status",
        "Show the running release, or with --all what is known here about every environment.",
        "views",
    ),
    CommandEntry("history", "Show deployments, gates, sign-offs and promotions, oldest first.", "views"),
    CommandEntry("logs", "Show the end of the server's log.", "views"),
    CommandEntry("doctor", "Check for common problems and name the command that fixes each.", "views"),
    CommandEntry("prune", "Remove old releases, but never the current or the previous one.", "deployments"),
    CommandEntry(
        "migrate",
        "Apply or undo the working tree's migrations, or compare them with the database.",
        "deployments",
    ),
    CommandEntry("sign-off", "Sign one item of ENV's checklist, with your SSH key.", "promotions"),
    CommandEntry(
        "checklist",
        "Show what lets a release into ENV: proven, signed or missing; exit code 1 when something is missing.",
        "promotions",
    ),
    CommandEntry(
        "promote",
        "Cut the next stage's signed tag, if signed verdict and sign-offs allow it.",
        "promotions",
    ),
    CommandEntry("watch", "Deploy and gate new tags until SIGTERM.", "services"),
    CommandEntry(
        "serve",
        "Show what `gaia status --all` shows as one live, read-only page, until Ctrl-C.",
        "services",
    ),
    CommandEntry("prove", "Seed faults into the server's source, and show which of them the gate catches.", "proofs"),
    CommandEntry("verdict", "Verdicts of gates: judge again, verify, record.", "verdicts"),
    CommandEntry("load", "Send a part of a gate's load; compare and draw measured loads.", "loads"),
    CommandEntry("supervise", "Supervise an environment's server, in the background.", "services", hidden=True),
)
