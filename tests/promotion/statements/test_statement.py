"""Statements conform to the published schemas, and are read strictly."""

import json
from pathlib import Path

import jsonschema_rs
import pytest

from gaia_checks import files
from gaia_checks.environment.project import ROOT
from gaia_checks.errors import EvidenceError
from gaia_checks.model import Release, State
from gaia_checks.promotion import promote, record
from gaia_checks.promotion.statements import installation, statement, statements_ref
from gaia_checks.promotion.statements.dsse import Envelope
from gaia_checks.report import evidence
from tests.promotion.ground import PHASE, Ground, envelope_of

SCHEMAS = ROOT / "gaia_checks" / "promotion" / "statements" / "schemas"
RELEASE = Release("phase-1", "0" * 40, "1" * 64, {"002_b": "2" * 64, "001_a": "3" * 64})
SIGN_OFF = {"environment": "qa", "item": "qa", "approves": "4" * 64, "at": "2026-02-26T10:00:00.000Z"}


def conforms(content: bytes, kind: str) -> None:
    """Raise ValidationError unless the predicate conforms to the published schema."""
    schema = json.loads((SCHEMAS / f"{kind}.v1.json").read_text())
    found = json.loads(content)
    assert found["predicateType"] == schema["$id"]
    jsonschema_rs.validate(schema, found["predicate"])


def test_what_is_written_conforms_to_the_published_schemas(ground: Ground) -> None:
    """A verdict with the facts of this very pytest, a sign-off, a force."""
    folder = ground.gate()
    facts = installation.describe([], ["--env=dev"])
    predicate = record.predicate(ground.environment("dev"), folder, evidence.read_verdict(folder), facts)
    conforms(statement.payload(statement.VERDICT, ground.release, predicate), statement.VERDICT)
    for state in State:
        predicate["criteria"]["states"]["dev.health"] = str(state)
        conforms(statement.payload(statement.VERDICT, ground.release, predicate), statement.VERDICT)
    own = folder / "own" / "criteria.toml"
    own.parent.mkdir()
    own.write_text("")
    predicate = record.predicate(ground.environment("dev"), folder, evidence.read_verdict(folder), facts)
    conforms(statement.payload(statement.VERDICT, ground.release, predicate), statement.VERDICT)
    assert predicate["criteria"]["own_sha256"] == files.sha256(own)
    ground.sign("ada")
    with ground.as_("ada"):
        promote.force(PHASE, "qa", "ada@example.test", "no time", ground.origin.url)
    found = [entry.envelope for entry in statements_ref.read(ground.fetched())]
    assert [statement.parse(one).kind for one in found] == ["verdict", "sign-off", "force"]
    conforms(found[1].payload, statement.SIGN_OFF)
    conforms(found[2].payload, statement.FORCE)


def test_the_subject_is_the_release_and_comes_back(ground: Ground) -> None:
    """Executable and migrations, in their order; every file of the evidence has its digest."""
    found = statement.parse(Envelope(statement.payload(statement.SIGN_OFF, RELEASE, SIGN_OFF), ()))
    assert found.release == RELEASE
    assert list(found.release.migrations) == ["002_b", "001_a"]
    assert found.namespace == "gaia-sign-off/qa/qa@v1"
    folder = ground.gate()
    stated = statement.parse(envelope_of(folder)).predicate["evidence"]
    assert set(stated) == {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()} - {
        "statement.json"
    }


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("https://in-toto.io/Statement/v1", "https://in-toto.io/Statement/v0.1"),
        ("urn:gaia-checks:sign-off:v1", "urn:gaia-checks:sign-off:v2"),
        ('"item":"qa"', '"item":"qa\\n"'),
        ('"item":"qa"', '"item":"../x"'),
        ('"approves":"4', '"approves":"x'),
        ('"environment":"qa"', '"environment":["qa"]'),
        ('"phase":"phase-1"', '"phase":"phase-1\\u001b[2K"'),
        ("2026-02-26T10:00:00.000Z", "yesterday"),
        ("2026-02-26T10:00:00.000Z", "2026-02-26T10:00:00"),
        ("build/gaia_server", "build/other"),
        ("migrations/001_a.sql", "migrations/../x"),
        ("migrations/001_a.sql", "migrations/002_b.sql"),
    ],
)
def test_what_is_none_of_ours_is_refused(old: str, new: str) -> None:
    """Another version, kind or shape; a name that is none."""
    content = statement.payload(statement.SIGN_OFF, RELEASE, SIGN_OFF).decode()
    assert old in content
    with pytest.raises(EvidenceError, match="not one of gaia-checks"):
        statement.parse(Envelope(content.replace(old, new).encode(), ()))


def test_the_installation_is_known_by_its_files_and_its_foreign_plugins(tmp_path: Path) -> None:
    """A changed file changes the digest; a plugin of elsewhere is named, pytest's own are not."""
    (tmp_path / "gaia_checks").mkdir()
    (tmp_path / "conftest.py").write_text("")
    module = tmp_path / "gaia_checks" / "a.py"
    module.write_text("1")
    before = installation.digest(tmp_path)
    module.write_text("2")
    assert installation.digest(tmp_path) != before

    class Plugin:
        """A plugin that was registered by somebody else."""

    Plugin.__module__ = "evil.plugin"
    described = installation.describe([pytest, installation, Plugin()], ["--env=dev", "-p", "evil"])
    assert described["foreign_plugins"] == ["evil.plugin"]
    assert described["options"] == ["--env=dev", "-p", "evil"]
