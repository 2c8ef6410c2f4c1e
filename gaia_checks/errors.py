"""Every error a person can meet, one exit code per branch.

    GaiaError
    ├── ConfigurationError   4   what was requested cannot be done as written: fix the input, run again
    │   ├── EnvironmentFileError   a key of environments/<name>.toml
    │   ├── CriteriaFileError      a key of criteria.toml
    │   ├── MissingVariable        an environment variable that the stage requires
    │   ├── MissingDependency      a program or package, with the command that installs it
    │   ├── PortInUse              somebody else listens there
    │   ├── NotWritable            a folder or file that must be written
    │   ├── RemoteUnreachable             the git remote does not answer, or does not take a tag
    │   └── Busy                   another command holds the environment's lock
    ├── DeployError          1   a deployment step failed; the old server still serves
    │   ├── ArtifactError          the executable is missing, damaged or not ours
    │   ├── MigrationError         the schema could not be brought to the release's
    │   ├── NotReady               the new server did not become ready in time
    │   └── VerifyError            the new server runs, but not as promised
    ├── NotPromoted          1   what a promotion needs is not there; the message names all of it
    ├── NotSigned            1   a signature does not count: unknown key, changed content, or not allowed to sign that
    └── Inconclusive         8   the evidence does not decide
        ├── TargetUnreachable      nothing answers at the target
        ├── AdapterError           the environment's adapter cannot translate a request
        └── EvidenceError          a file of the evidence is missing, torn or changed

A message says what, where and what to do, in one line, without a secret.
"""


class GaiaError(Exception):
    """The root. `exit_code` is what `gaia` and the gate end with."""

    exit_code = 1


def refused(error: OSError) -> str:
    """Return where and what the system refused, in one line. Pure."""
    place = f"{error.filename}: " if error.filename else ""
    return place + " ".join(str(error.strerror or error).split())


class ConfigurationError(GaiaError):
    """What was requested cannot be done as written."""

    exit_code = 4


class EnvironmentFileError(ConfigurationError):
    """A key of an environment file is unknown, missing or of the wrong type."""


class CriteriaFileError(ConfigurationError):
    """A key of a criteria file is unknown, missing or of the wrong type."""


class MissingVariable(ConfigurationError):
    """A required environment variable is not set."""


class MissingDependency(ConfigurationError):
    """A program or package is not installed; the message names the command that installs it."""


class PortInUse(ConfigurationError):
    """Somebody else listens on the port the server should have."""


class NotWritable(ConfigurationError):
    """A folder or file cannot be written."""


class Busy(ConfigurationError):
    """Another command holds the environment's lock; the message says who, since when and why."""


class RemoteUnreachable(ConfigurationError):
    """The git remote does not answer, or does not take the tag that is pushed to it."""


class DeployError(GaiaError):
    """A deployment step failed. The cause is chained; the old server still serves."""


class ArtifactError(DeployError):
    """The executable is missing, damaged or not the one that was requested."""


class MigrationError(DeployError):
    """The schema could not be brought to the release's."""


class NotReady(DeployError):
    """The new server did not become ready in time."""


class VerifyError(DeployError):
    """The new server runs, but does not keep what it promises."""


class NotPromoted(GaiaError):
    """What a promotion needs is not there; the message names all of it."""


class NotSigned(GaiaError):
    """A signature does not count for what it should."""


class Inconclusive(GaiaError):
    """The evidence does not decide."""

    exit_code = 8


class TargetUnreachable(Inconclusive):
    """Nothing answers at the target."""


class AdapterError(Inconclusive):
    """The environment's adapter cannot translate a request."""


class EvidenceError(Inconclusive):
    """A file of the evidence is missing, torn or changed after it was written."""
