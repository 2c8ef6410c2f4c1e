"""A gate of a server that writes a secret into its log: it is searched at the end of the gate."""

from pathlib import Path

from gaia_checks import jsonl
from tests.support import patched
from tests.support.ground import ground

TOKEN = "canary-admin-token-44d1"
_READ = '        token = given.strip() if scheme.lower() == "bearer" else ""\n'
_LOGGED = "        print('token', token, flush=True, file=__import__('sys').stderr)\n"
TOKENS_IN_THE_LOG = ("gaia_server/auth.py", _READ, _READ + _LOGGED)


def test_a_token_in_the_log_fails_the_criterion_of_the_log(tmp_path: Path) -> None:
    """The verdict names the line and which secret it is, and no file of the evidence has it."""
    program, migrations = patched.source(tmp_path / "source", TOKENS_IN_THE_LOG)
    with ground(ADMIN_TOKEN=TOKEN) as made:
        made.deploy(program, made.environment_file(), migrations)
        outcome = made.gate(made.environment_file(base_url=made.url))
        assert outcome.states["dev.log"] == "fail", outcome.output
        assert "log.secrets is " in outcome.not_passed()["dev.log"]
        notes = {each["name"]: each["notes"] for each in jsonl.read(outcome.folder / "measurements.jsonl")}
        assert "from the end contains the admin token: token ***" in notes["log.secrets"][0]
        texts = [path.read_bytes().decode(errors="replace") for path in outcome.folder.rglob("*") if path.is_file()]
        assert not [text for text in (*texts, outcome.output) if TOKEN in text]
