"""What cannot be looked at from here: always said in the same words, with the setting that would make it visible."""

from gaia_checks.model import Target

HERE = "run the gate on the machine where `gaia deploy {name}` started the server (same GAIA_HOME and GAIA_LOG_DIR)"
USER = "run the gate as the server's own user"
DATABASE = "export DATABASE_URL (with sslmode=require where the database is elsewhere)"
LOG = 'set log = "/file" or log = "ssh://user@host/file" in {name}.toml'
TOLD = "let GET /metrics tell {metric} (another name is mapped by [contract.metrics] in {name}.toml)"


def unseen(target: Target, what: str, *settings: str, why: str = "", metric: str = "") -> str:
    """Return the note of a measurement without samples: what, the settings of which one will do, and why. Pure."""
    will_do = ", or ".join(setting.format(name=target.environment, metric=metric) for setting in settings)
    return f"{what} cannot be seen from here: {will_do}" + (f"; {why}" if why else "")
