"""Notes on unobservable subjects: always the same wording, with the setting that makes them observable."""

from gaia_checks.model import Target

HERE = "run the gate on the machine where `gaia deploy {name}` started the server (same GAIA_HOME and GAIA_LOG_DIR)"
USER = "run the gate as the server's own user"
DATABASE = "export DATABASE_URL (with sslmode=require where the database is elsewhere)"
LOG = 'set log = "/file" or log = "ssh://user@host/file" in {name}.toml'
METRIC = "expose {metric} in GET /metrics (another name is mapped by [contract.metrics] in {name}.toml)"


def cannot_observe(target: Target, what: str, *settings: str, why: str = "", metric: str = "") -> str:
    """Return the note of a measurement without samples: subject, sufficient settings, and reason. Pure."""
    sufficient = ", or ".join(setting.format(name=target.environment, metric=metric) for setting in settings)
    return f"{what} cannot be observed from here: {sufficient}" + (f"; {why}" if why else "")
