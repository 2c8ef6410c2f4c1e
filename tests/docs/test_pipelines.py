"""The CI templates keep their systems' schemas, and the commands in them exist and do what the page says."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from gaia_checks.environment import environment_file
from gaia_checks.environment.project import ROOT
from tests.docs.test_pages import check_command

FOLDER = ROOT / "docs" / "pipelines"
SCHEMAS = {"github-actions.yml": "vendor.github-workflows", "gitlab-ci.yml": "vendor.gitlab-ci"}
"""Template -> the schema that its linter brings along: nothing is downloaded."""

ARGO = FOLDER / "argo-rollouts.yml"
WORKERS = FOLDER / "load-workers.yml"
ANALYSIS_KEYS = {"args", "dryRun", "measurementRetention", "metrics"}
METRIC_KEYS = {
    *("consecutiveErrorLimit", "consecutiveSuccessLimit", "count", "failureCondition", "failureLimit"),
    *("inconclusiveLimit", "initialDelay", "interval", "name", "provider", "successCondition"),
}
"""What an AnalysisTemplate's spec and its metrics may have, in the documentation of Argo Rollouts."""

every_template = pytest.mark.parametrize("name", SCHEMAS)


def test_every_template_is_checked() -> None:
    """A new template needs a schema."""
    assert {path.name for path in FOLDER.glob("*.yml")} == {*SCHEMAS, ARGO.name, WORKERS.name}


@every_template
def test_a_template_keeps_its_schema_and_a_misspelt_one_does_not(name: str, tmp_path: Path) -> None:
    """The linter accepts it, and refuses it with a key that the system does not know."""
    assert lint(FOLDER / name).returncode == 0
    wrong = tmp_path / name
    wrong.write_text(re.sub(r"(?m)^(    concurrency|  resource_group):", r"\1s:", (FOLDER / name).read_text()))
    assert lint(wrong).returncode == 1


@every_template
def test_commands_of_a_template_exist(name: str) -> None:
    """The page's steps, in its order, each a command with options that it has."""
    found = [line for script in scripts(yaml.safe_load((FOLDER / name).read_text())) for line in script.splitlines()]
    gaia = [line.split()[1:] for line in found if line.startswith(".venv/bin/gaia ")]
    for words in gaia:
        check_command([*words], " ".join(words))
    steps = [words[0] for words in gaia if words[0] != "status"]
    assert steps == ["deploy", "checklist", "promote"]
    assert found.count('.venv/bin/python -m pytest --env="$ENVIRONMENT"') == 1


@pytest.mark.parametrize(
    ("tag", "read"),
    [
        ("deploy/dev/phase-11.4", "environment=dev\nphase=phase-11.4\nnext=qa\n"),
        ("deploy/qa/phase-11.4", "environment=qa\nphase=phase-11.4\nnext=prod\n"),
        ("deploy/prod/phase-11.4", "environment=prod\nphase=phase-11.4\nnext=\n"),
        ("deploy/qa/$(touch x)", "environment=qa\nphase=$(touch x)\nnext=prod\n"),
    ],
)
def test_the_tag_says_environment_and_phase(tag: str, read: str, tmp_path: Path) -> None:
    """The first step's own script, run by bash; a tag's name is never run."""
    jobs = yaml.safe_load((FOLDER / "github-actions.yml").read_text())["jobs"]
    output = tmp_path / "output"
    subprocess.run(
        ("bash", "-euo", "pipefail", "-c", jobs["tag"]["steps"][0]["run"]),
        env={**os.environ, "TAG": tag, "GITHUB_OUTPUT": str(output)}, cwd=tmp_path, check=True,
    )  # fmt: skip
    assert output.read_text() == read
    assert [path.name for path in tmp_path.iterdir()] == ["output"]


def test_no_script_contains_an_expression_of_the_ci_system() -> None:
    """What a tag is named reaches a script as a variable, never as its text."""
    template = yaml.safe_load((FOLDER / "github-actions.yml").read_text())
    assert [script for script in scripts(template) if "${{" in script] == []


def gate_job() -> dict[str, Any]:
    """The Job that Argo Rollouts makes of its template."""
    (metric,) = yaml.safe_load(ARGO.read_text())["spec"]["metrics"]
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "gate"},
        "spec": metric["provider"]["job"]["spec"],
    }


def test_the_job_keeps_the_schema_of_kubernetes_and_a_misspelt_one_does_not() -> None:
    """Also below the pod: an unknown key is refused."""
    job = gate_job()
    kubernetes_validate.validate(job, "1.30", strict=True)
    container = job["spec"]["template"]["spec"]["containers"][0]
    container["workingdir"] = container.pop("workingDir")
    with pytest.raises(kubernetes_validate.ValidationError, match="workingdir"):
        kubernetes_validate.validate(job, "1.30", strict=True)


def test_the_analysis_has_one_measurement_which_nothing_repeats() -> None:
    """One gate decides: no second one after a fail, and no analysis without a measurement, which would succeed."""
    template = yaml.safe_load(ARGO.read_text())
    (metric,) = template["spec"]["metrics"]
    assert template["spec"].keys() <= ANALYSIS_KEYS
    assert metric.keys() <= METRIC_KEYS
    assert (metric["count"], metric["failureLimit"], gate_job()["spec"]["backoffLimit"]) == (1, 0, 0)
    assert gate_job()["spec"]["template"]["spec"]["restartPolicy"] == "Never"
    used = set(re.findall(r"{{args\.(\w+)}}", ARGO.read_text()))
    assert used == {argument["name"] for argument in template["spec"]["args"]}


@pytest.mark.parametrize(
    ("codes", "ends"),
    [
        ({}, 0),
        ({"python": 1}, 1),
        ({"python": 8}, 8),  # inconclusive is no success
        ({"python": 2}, 2),
        ({"gaia": 5}, 5),
        ({"git": 128}, 128),
    ],
)
def test_the_job_succeeds_only_after_a_pass(codes: dict[str, int], ends: int, tmp_path: Path) -> None:
    """Its own script, with commands that end as given: the first that fails is the last, and its code the Job's."""
    container = gate_job()["spec"]["template"]["spec"]["containers"][0]
    (script,) = container["args"]
    assert "{{" not in script
    for name, path in (("git", "bin/git"), ("gaia", ".venv/bin/gaia"), ("python", ".venv/bin/python")):
        command = tmp_path / path
        command.parent.mkdir(parents=True, exist_ok=True)
        command.write_text(f'#!/bin/sh\necho {name} "$@" >> called\nexit {codes.get(name, 0)}\n')
        command.chmod(0o755)
    variables = {"PATH": f"{tmp_path}/bin:{os.environ['PATH']}", "ENVIRONMENT": "qa", "PHASE": "$(touch x)"}
    done = subprocess.run([*container["command"], script], cwd=tmp_path, env=variables, check=False)
    assert done.returncode == ends
    steps = ["git fetch --quiet --force --tags origin", "gaia deploy qa $(touch x)", "python -m pytest --env=qa"]
    called = (tmp_path / "called").read_text().splitlines()
    assert called == steps[: next((number for number, step in enumerate(steps, 1) if step.split()[0] in codes), 3)]
    for words in (step.split(maxsplit=3)[1:] for step in steps if step.startswith("gaia")):
        check_command(words, " ".join(words))


def workers() -> dict[str, Any]:
    """The manifests of the workers, by their kinds."""
    return {manifest["kind"]: manifest for manifest in yaml.safe_load_all(WORKERS.read_text())}


@pytest.mark.parametrize("kind", ["Service", "Deployment", "NetworkPolicy"])
def test_the_workers_keep_the_schema_of_kubernetes_and_misspelt_ones_do_not(kind: str) -> None:
    """Each manifest alone: an unknown key is refused."""
    manifest = workers()[kind]
    kubernetes_validate.validate(manifest, "1.30", strict=True)
    manifest["spec"]["selectors"] = {}
    with pytest.raises(kubernetes_validate.ValidationError, match="selectors"):
        kubernetes_validate.validate(manifest, "1.30", strict=True)


def test_the_workers_find_the_gate_and_nobody_else_does() -> None:
    """Service, policy and command mean the pod of the gate's Job, on the port of the page's environment file."""
    pod = gate_job()["spec"]["template"]["metadata"]["labels"]
    service, policy = workers()["Service"], workers()["NetworkPolicy"]["spec"]
    (container,) = workers()["Deployment"]["spec"]["template"]["spec"]["containers"]
    assert service["spec"]["selector"] == policy["podSelector"]["matchLabels"] == pod
    (rule,) = policy["ingress"]
    assert rule["from"] == [{"podSelector": workers()["Deployment"]["spec"]["selector"]}]
    ports = [port["port"] for port in service["spec"]["ports"]]
    assert [port["port"] for port in rule["ports"]] == ports
    name = service["metadata"]["name"]
    words = container["command"][1:]
    check_command([*words], " ".join(words))
    assert words == ["load", "worker", "--master", f"{name}:{ports[0]}", "--target", f"http://{name}:{ports[1]}"]


def test_the_environment_file_of_the_workers_can_be_read(tmp_path: Path) -> None:
    """As many workers as the Deployment has, and a master on every address of the pod."""
    (entries,) = re.findall(r"```toml\n(.*?)```", (FOLDER / "README.md").read_text(), re.DOTALL)
    file = tmp_path / "qa.toml"
    file.write_text(f'[environment]\nstage = "qa"\ndatabase = "none"\nhost = "0.0.0.0"\n{entries}')
    load = environment_file.load(str(file), variables={}).load
    assert load.workers == workers()["Deployment"]["spec"]["replicas"]
    assert load.master == f"0.0.0.0:{workers()['Service']['spec']['ports'][0]['port']}"


def lint(path: Path) -> "subprocess.CompletedProcess[str]":
    """Check a template against its system's schema."""
    command = (sys.executable, "-m", "check_jsonschema", "--builtin-schema", SCHEMAS[path.name], str(path))
    return subprocess.run(command, capture_output=True, text=True, check=False)


def scripts(template: Any) -> Iterator[str]:
    """Yield every script of a template, in the order of the file."""
    if isinstance(template, dict):
        for key, value in template.items():
            if key in ("script", "after_script"):
                yield from value
            elif key == "run" and isinstance(value, str):
                yield value
            else:
                yield from scripts(value)
    elif isinstance(template, list):
        for one in template:
            yield from scripts(one)
