"""The commands that let a release into the next stage, read from the pages that name them and run in their order."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from gaia_checks import cli
from gaia_checks.environment.project import ROOT
from gaia_checks.errors import NotSigned
from gaia_checks.promotion.statements import ssh_signature
from tests.docs import pages
from tests.docs.commands import to_run
from tests.promotion.ground import PHASE, make
from tests.support import ssh_keys

PROMOTES = re.compile(r"(?:\.venv/bin/)?gaia (?=checklist|sign-off|promote|verdict verify)")


def test_the_commands_of_a_promotion_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the sign-off the list is incomplete; the last command finds everything proven. Only names are replaced."""
    ground = make(tmp_path, monkeypatch)
    ground.gate()
    found = [command for command in to_run("README.md#deploying") if PROMOTES.match(command)]
    commands = [shlex.split(PROMOTES.sub("", command.replace("phase-11.4", PHASE))) for command in found]
    assert [words[0] for words in commands] == ["checklist", "sign-off", "promote", "verdict"]
    with ground.as_("ada"):
        codes = [cli.run([*words, "--remote", ground.origin.url]) for words in commands]
    assert codes == [1, 0, 0, 0]
    assert f"deploy/qa/{PHASE}" in ground.origin.tags()


def test_keys_are_made_and_a_release_is_promoted_with_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two pages: a key for the gate and who may sign, then what is done for every release, in one clone by bash."""
    ground = make(tmp_path, monkeypatch)
    work, home, etc, programs = (ground.origin.work, *(tmp_path / name for name in ("home", "etc", "programs")))
    for folder in (home, etc, programs):
        folder.mkdir(exist_ok=True)
    ssh_keys.make(home / ".ssh", "id_ed25519")
    (home / ".gitconfig").write_text("[user]\nname = b\nemail = b@example.org\n")
    (programs / "gaia").write_text(f'#!/bin/sh\nexec {sys.executable} -m gaia_checks.cli "$@"\n')
    (programs / "gaia").chmod(0o755)
    shutil.copy(ROOT / "starter" / "gaia.ini", work)  # marks the clone as a project of its own
    for name in ("dev", "qa"):
        text = (ROOT / "environments" / f"{name}.toml").read_text()
        remote = f'[environment]\nremote = "{ground.origin.url}"'
        (work / "environments" / f"{name}.toml").write_text(text.replace("[environment]", remote, 1))
    ground.origin.git("fetch", "--quiet")
    ground.origin.git("checkout", "--quiet", "-B", "develop", "origin/develop")

    def run(*commands: str) -> str:
        script = "\n".join(commands).replace("phase-11.4", PHASE).replace("/etc/gaia", str(etc))
        done = subprocess.run(
            ("bash", "-euc", script), cwd=work, capture_output=True, text=True, check=False,
            env={**os.environ, "HOME": str(home), "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
                 "PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    run(*to_run("docs/how-to/keys.md#say-who-may-sign"))
    ground.keys["gate-dev"] = etc / "dev_key"
    ground.gate()
    commands = to_run("docs/how-to/promote.md#sign-off-and-promote-a-release")
    printed = run(*(f"{one} || test $? = 1" if " checklist " in one else one for one in commands))
    assert f"deploy/qa/{PHASE}" in ground.origin.tags()
    assert "gate-dev@example.org" in printed
    assert "ada@example.org" in printed


def test_the_file_of_trust_md_lets_its_people_sign(tmp_path: Path) -> None:
    """With keys in place of the dots, each name may sign what its line says, and nothing else."""
    (text,) = (block.text for block in pages.blocks("docs/trust.md") if block.language == "text")
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    keys = {line.split("@")[0]: ssh_keys.make(tmp_path, line.split("@")[0]) for line in lines}
    publics = {name: key.with_suffix(".pub").read_text().split()[1] for name, key in keys.items()}
    allowed = "\n".join(
        re.sub(r"(?:sk-)?ssh-\S+ AAAA\.\.\.", f"ssh-ed25519 {publics[line.split('@')[0]]}", line) for line in lines
    )
    may = {
        "gate-qa": "gaia-verdict/qa@v1",
        "ada": "gaia-sign-off/prod/maintainer@v1",
        "grace": "gaia-sign-off/prod/qa@v1",
    }
    for name, key in keys.items():
        for namespace in may.values():
            signature = ssh_signature.sign(b"x", namespace, key, unattended=True)
            if namespace == may[name]:
                assert ssh_signature.signer(b"x", signature, namespace, allowed) == f"{name}@example.org"
            else:
                with pytest.raises(NotSigned, match="key is not permitted for use in signature namespace"):
                    ssh_signature.signer(b"x", signature, namespace, allowed)
