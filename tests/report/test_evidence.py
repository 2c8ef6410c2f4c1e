"""The evidence of a gate: inconclusive from the start, without secrets, and any change to it is detected."""

import base64
import json
import tomllib
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gaia_checks import jsonl
from gaia_checks.environment import environment_file
from gaia_checks.environment.environment import Environment, LoadSettings
from gaia_checks.errors import EvidenceError
from gaia_checks.judge import criteria_file, judgement
from gaia_checks.model import Criterion, Measurement, Release, State, Verdict, timestamp
from gaia_checks.report import evidence

RUN = "20260226T100000Z-3fa9c1"
AT = datetime(2026, 2, 26, 10, 0, tzinfo=UTC)
SECRETS = {
    "DATABASE_URL": "postgresql://gaia:canary-%22db%22@db.test/gaia",
    "ADMIN_TOKEN": 'canary"token<&>\\',
    "ANTHROPIC_API_KEY": "sk-canary-key",
}
CANARIES = ("canary-%22db%22", 'canary-"db"', 'canary"token', "canary\\", "canary&quot;token", "sk-canary-key")


@pytest.fixture
def environment() -> Environment:
    """The local environment, with a canary for every secret."""
    return environment_file.load("local", variables=SECRETS)


@pytest.fixture
def promised(environment: Environment) -> tuple[Criterion, ...]:
    """Return the criteria of the dev stage in that environment."""
    return criteria_file.load(overrides=environment.looks).for_stage("dev")


@pytest.fixture
def folder(tmp_path: Path, environment: Environment, promised: tuple[Criterion, ...]) -> Path:
    """Return the evidence of a gate that has just started."""
    return evidence.create(tmp_path, environment, "dev", RUN, promised, AT)


def test_a_starting_gate_is_inconclusive(folder: Path, promised: tuple[Criterion, ...]) -> None:
    """Before the first measurement the verdict is inconclusive for every criterion."""
    verdict = evidence.read_verdict(folder)
    assert verdict.state is State.INCONCLUSIVE
    assert [criterion.id for criterion in verdict.criteria] == [criterion.id for criterion in promised]
    assert {criterion.why for criterion in verdict.criteria} == {"not checked yet"}
    assert verdict.rehearsal


def test_the_limits_of_the_environment_file_are_evidence(tmp_path: Path, environment: Environment) -> None:
    """A verdict is computed again with the limits that the gate had, and without any where it had none."""
    for limits, lacks in (({}, True), ({"p99_ratio": 1.3}, False)):
        own = replace(environment, no_regression=limits)
        criteria = evidence.criteria_of(evidence.create(tmp_path, own, "prod", f"{RUN}{len(limits)}", (), AT))
        (found,) = (each for each in criteria.for_stage("prod") if each.id == "prod.no_regression")
        assert found.lacks_limits is lacks
        assert {check.measurement: check.threshold for check in found.checks}.get("no_regression.p99_ratio") == (
            limits.get("p99_ratio")
        )


def test_latest_moves_with_every_gate(
    folder: Path, tmp_path: Path, environment: Environment, promised: tuple[Criterion, ...]
) -> None:
    """`latest` points at the newest folder from its first moment."""
    latest = tmp_path / "local" / "latest"
    assert latest.resolve() == folder
    newer = evidence.create(tmp_path, environment, "dev", "20260226T110000Z-000000", promised, AT)
    assert latest.resolve() == newer


def test_what_was_in_force_is_described_without_secrets(folder: Path, environment: Environment) -> None:
    """environment.toml is valid, contains the settings of the gate, and no secret."""
    text = (folder / "environment.toml").read_text()
    described = tomllib.loads(text)
    assert described["environment"]["stage"] == "dev"
    assert described["environment"]["variables"]["PORT"] == "8711"
    assert described["environment"]["variables"]["ADMIN_TOKEN"] == "***"
    assert described["looks"]["log"] == dict(environment.looks["log"])
    assert not any(canary in text for canary in CANARIES)


def test_what_sent_the_load_is_described(environment: Environment, tmp_path: Path) -> None:
    """With the user's own mix itself; that file's place on this machine means nothing to a reader."""
    mix = tmp_path / "ours.py"
    mix.write_text("# a mix\n")
    sent = replace(environment, load=LoadSettings("precise", workers=4, master="10.0.0.5:5557", locustfile=mix))
    folder = evidence.create(tmp_path, sent, "dev", RUN, [], AT)
    assert tomllib.loads((folder / "environment.toml").read_text())["load"] == {
        "engine": "precise", "processes": 1, "locustfile": "locustfile.py", "workers": 4,
        "master": "10.0.0.5:5557", "join_within_s": 60.0,
    }  # fmt: skip
    assert (folder / "locustfile.py").read_text() == "# a mix\n"


def test_a_base_url_is_described_without_its_user(environment: Environment) -> None:
    """No password gets into the evidence through an address."""
    described = evidence.describe(replace(environment, base_url="http://me:secret@[::1]:8711/x"), "dev")
    assert tomllib.loads(described)["environment"]["base_url"] == "http://[::1]:8711/x"


def rewrite(path: Path, old: str, new: str) -> None:
    """Change a word of a file."""
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_a_verdict_reads_back_as_it_was_written(folder: Path, environment: Environment) -> None:
    """verdict.json loses nothing."""
    everything_passes(folder)
    verdict = judged(folder)
    evidence.seal(folder, verdict, environment)
    assert evidence.read_verdict(folder) == verdict
    assert evidence.recompute(folder) == verdict
    assert verdict.state is State.PASS


def test_what_does_not_apply_is_recomputed_from_the_sealed_files(folder: Path, environment: Environment) -> None:
    """The fact is among the measurements."""
    everything_passes(folder)
    rewrite(folder / "criteria.toml", 'look = "log"\n', 'look = "log"\napplies_when = "tls"\n')
    absent = Measurement("target.tls", False, "bool", 1, 0.0, timestamp(AT), "plain http")
    jsonl.append(folder / "measurements.jsonl", absent.to_json())
    verdict = judged(folder)
    evidence.seal(folder, verdict, environment)
    assert evidence.recompute(folder) == evidence.read_verdict(folder) == verdict
    assert verdict.state is State.PASS
    assert [(each.id, each.why) for each in verdict.criteria if each.state is State.NOT_APPLICABLE] == [
        ("dev.log", "plain http")
    ]


def test_verdict_json_has_the_promised_fields(folder: Path, environment: Environment) -> None:
    """Others read verdict.json: its names do not change."""
    everything_passes(folder)
    evidence.seal(folder, judged(folder), environment)
    record = json.loads((folder / "verdict.json").read_text())
    names = "schema environment stage run started_at duration_s state rehearsal release criteria remarks files"
    assert list(record) == names.split()
    names = "id claim state why measured bound threshold unit n needs_s checks relation"
    assert list(record["criteria"][0]) == names.split()
    assert set(record["files"]) == {"criteria.toml", "environment.toml", "gated.json", "measurements.jsonl"}


def test_no_secret_survives_the_seal(folder: Path, environment: Environment) -> None:
    """Whatever a canary was written into, and however it was escaped there, it is gone."""
    everything_passes(folder)
    leak = " ".join(SECRETS.values())
    jsonl.append(folder / "measurements.jsonl", {**measurement("x", 1), "notes": [leak], "how": leak})
    (folder / "allure-results").mkdir()
    (folder / "allure-results" / "a-result.json").write_text(json.dumps({"trace": leak, leak: 1}))
    (folder / "server.log").write_text(json.dumps({"msg": leak}) + "\n" + leak + "\n")
    (folder / "junit.xml").write_text(
        f"<e m='{leak.replace('&', '&amp;').replace('<', '&lt;').replace('>', '&gt;')}'/>"
    )
    (folder / "report.html").write_text(base64.b64encode(leak.encode()).decode())
    verdict = judged(folder)
    first = replace(verdict.criteria[0], why=leak)
    evidence.seal(folder, replace(verdict, criteria=(first, *verdict.criteria[1:])), environment)
    for path in folder.rglob("*"):
        text = path.read_text() if path.is_file() else ""
        assert not any(canary in text for canary in CANARIES), path
    assert not (folder / "report.html").exists(), "it was rendered from files that contained a secret"
    assert evidence.recompute(folder).state is State.PASS


def test_redaction_leaves_json_readable(environment: Environment, folder: Path) -> None:
    """A pattern that reaches over quotes must not tear JSON apart, nor touch what is no secret."""
    innocent = {"base_url": "http://127.0.0.1:8711", "by": "root@host"}
    guilty = {"a": 'password=other"', "b": innocent}
    jsonl.append(folder / "server.log", innocent)
    jsonl.append(folder / "server.log", guilty)
    assert evidence.redact(folder, environment) == [folder / "server.log"]
    assert list(jsonl.read(folder / "server.log")) == [innocent, {"a": 'password=***"', "b": innocent}]


def test_redaction_is_not_stopped_by_a_zero_byte(environment: Environment, folder: Path) -> None:
    """A log that was truncated while it was written begins with some."""
    (folder / "server.log").write_bytes(b"\0\0 sk-canary-key\n")
    evidence.redact(folder, environment)
    assert (folder / "server.log").read_bytes() == b"\0\0 ***\n"


def test_redaction_leaves_images_alone(environment: Environment, folder: Path) -> None:
    """Bytes that are no text are not rewritten."""
    image = b"\x89PNG\0" + SECRETS["ANTHROPIC_API_KEY"].encode()
    (folder / "shot.png").write_bytes(image)
    assert evidence.redact(folder, environment) == []
    assert (folder / "shot.png").read_bytes() == image


def test_redaction_keeps_bytes_that_are_no_utf8(environment: Environment, folder: Path) -> None:
    """A secret next to an invalid byte is redacted."""
    (folder / "server.log").write_bytes(b"\xff sk-canary-key\n")
    evidence.redact(folder, environment)
    assert (folder / "server.log").read_bytes() == b"\xff ***\n"


def test_a_killed_gate_is_inconclusive_when_judged_again(folder: Path) -> None:
    """Every criterion had passed, but the evidence was never sealed."""
    everything_passes(folder)
    verdict = evidence.recompute(folder)
    assert verdict.state is State.INCONCLUSIVE
    assert {criterion.state for criterion in verdict.criteria} == {State.INCONCLUSIVE}


def test_a_gate_killed_at_once_is_inconclusive_when_judged_again(folder: Path) -> None:
    """Without any measurement every criterion is reported as not checked."""
    verdict = evidence.recompute(folder)
    assert verdict.state is State.INCONCLUSIVE
    assert all("not checked" in criterion.why for criterion in verdict.criteria)


@pytest.mark.parametrize(
    ("change", "name", "problem"),
    [
        (lambda folder: (folder / "measurements.jsonl").write_text("{}\n"), "measurements.jsonl", "changed"),
        (lambda folder: (folder / "criteria.toml").unlink(), "criteria.toml", "missing"),
        (lambda folder: (folder / "timelines" / "more.jsonl").write_text(""), "timelines/more.jsonl", "added"),
        (lambda folder: rewrite(folder / "verdict.json", "phase-11.4", "phase-11.5"), "verdict.json", "changed"),
        (lambda folder: rewrite(folder / "verdict.json", '"local"', '"prod"'), "verdict.json", "changed"),
    ],
)
def test_a_file_that_differs_from_the_seal_is_named(
    folder: Path, environment: Environment, change: Callable[[Path], object], name: str, problem: str
) -> None:
    """A file changed, missing or added since the seal is an error that names the file."""
    everything_passes(folder)
    evidence.seal(folder, judged(folder), environment)
    change(folder)
    with pytest.raises(EvidenceError) as caught:
        evidence.recompute(folder)
    assert f"{folder / name}: {problem}" in str(caught.value)


@pytest.mark.parametrize("text", ["", "[]", '{"schema": 2}', '{"schema": 1}'])
def test_a_damaged_verdict_is_refused(folder: Path, text: str) -> None:
    """A verdict.json that is torn or of another version is no evidence."""
    (folder / "verdict.json").write_text(text)
    with pytest.raises(EvidenceError, match=r"verdict\.json"):
        evidence.recompute(folder)


def test_a_folder_without_a_verdict_is_refused(tmp_path: Path) -> None:
    """The message names the expected folder."""
    with pytest.raises(EvidenceError, match="pass the folder of a gate's evidence"):
        evidence.read_verdict(tmp_path)


def test_a_line_that_is_no_measurement_is_named(folder: Path) -> None:
    """Evidence that cannot be read decides nothing."""
    (folder / "measurements.jsonl").write_text('{"name": "health.good"}\n')
    with pytest.raises(EvidenceError, match=r"measurements\.jsonl"):
        evidence.recompute(folder)


def test_the_stage_that_was_judged_cannot_be_lowered_afterwards(
    tmp_path: Path, environment: Environment, promised: tuple[Criterion, ...]
) -> None:
    """The stage is read from environment.toml, which is sealed."""
    folder = evidence.create(tmp_path, environment, "prod", RUN, promised, AT)
    everything_passes(folder)
    evidence.seal(folder, judged(folder), environment)
    record = json.loads((folder / "verdict.json").read_text())
    (folder / "verdict.json").write_text(json.dumps({**record, "stage": "dev"}))
    verdict = evidence.recompute(folder)
    assert (verdict.stage, verdict.state) == ("prod", State.INCONCLUSIVE)


def measurement(name: str, value: object, n: int = 30) -> dict[str, object]:
    """A measurement over a window that is long enough for anything, as a record."""
    return Measurement(name, value, "", n, 300.0, "2026-02-26T10:05:00.000Z", "measured").to_json()


def everything_passes(folder: Path) -> None:
    """Write measurements that keep everything that the dev stage promises."""
    path = folder / "measurements.jsonl"
    for criterion in criteria_file.load().for_stage("dev"):
        for check in criterion.checks:
            jsonl.append(path, measurement(check.measurement, 30 if check.rule == "all_good" else check.threshold))
        jsonl.append(path, measurement(judgement.outcome_name(criterion.id), "passed"))
    jsonl.append(path, measurement(judgement.FINISHED, value=True))


def judged(folder: Path) -> Verdict:
    """The verdict on what stands in `folder`, as the gate would have reached it."""
    criteria = criteria_file.load(folder / "criteria.toml", environment_file.load("local").looks)
    found = judgement.judge(criteria.for_stage("dev"), evidence.read_measurements(folder), rehearsal=True)
    release = Release("phase-11.4", "0" * 40, "a" * 64, {"050_rate_limiting": "b" * 64})
    return replace(
        evidence.read_verdict(folder),
        duration_s=61.25,
        state=judgement.overall(found),
        release=release,
        criteria=found,
    )
