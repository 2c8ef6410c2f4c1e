"""The statement of a gate: written and signed beside its evidence, and recorded on the remote."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gaia_checks import files, jsonl
from gaia_checks.deploy.git import git_remote
from gaia_checks.deploy.git.git_remote import GitRemote
from gaia_checks.deploy.git.tag import WORKTREE
from gaia_checks.deploy.reporting import status
from gaia_checks.deploy.state import deployment_ledger, ledger_chain, paths
from gaia_checks.environment.environment import Environment
from gaia_checks.errors import EvidenceError, GaiaError
from gaia_checks.judge import criteria_file
from gaia_checks.model import Release, State, Verdict
from gaia_checks.promotion.statements import dsse, signed, statement, statements_ref
from gaia_checks.promotion.statements.dsse import Envelope
from gaia_checks.promotion.statements.statements_ref import StatementEntry
from gaia_checks.report import evidence


def sign_gate(environment: Environment, folder: Path, gate: Mapping[str, Any]) -> str | None:
    """Sign the sealed evidence in `folder`; `gate` says what measured. Return what was done, in one line.

    None for an unsigned rehearsal, which promotes nothing anyway. Raises ConfigurationError when the key cannot sign.
    """
    verdict = evidence.read_verdict(folder)
    if environment.signing_key is None:
        return None if verdict.rehearsal else "not signed: GAIA_SIGNING_KEY is not set; this verdict promotes nothing"
    release = _release(environment, verdict)
    if release is None or release.commit is None or release.phase == WORKTREE:
        return "not signed: what was gated is no release of a tag; this verdict promotes nothing"
    content = statement.payload(statement.VERDICT, release, predicate(environment, folder, verdict, gate))
    namespace = f"gaia-{statement.VERDICT}/{environment.name}@v1"
    made = signed.make(content, namespace, environment.signing_key, unattended=True)
    files.replace(folder / evidence.STATEMENT, dsse.text(made), durable=True)
    if environment.remote is None:
        return f"statement {made.digest[:12]} signed; no remote is set: gaia verdict publish {folder} --remote URL"
    return publish_or_say(git_remote.of(environment), folder)


def predicate(environment: Environment, folder: Path, verdict: Verdict, gate: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the statement says beside the release."""
    own = evidence.own_criteria(folder)
    promised = criteria_file.load(folder / evidence.CRITERIA, environment.looks, own=own).for_stage(verdict.stage)
    head = ledger_chain.head(paths.of(environment).ledger, paths.home_identity(environment))
    hashed = {**evidence.hashes(folder), evidence.VERDICT: files.sha256(folder / evidence.VERDICT)}
    return {
        "environment": verdict.environment,
        "stage": verdict.stage,
        "run": verdict.run,
        "state": verdict.state,
        "rehearsal": verdict.rehearsal,
        "criteria": {
            "sha256": files.sha256(folder / evidence.CRITERIA),
            **({"own_sha256": files.sha256(own)} if own else {}),
            "states": {one.id: one.state for one in verdict.criteria},
            "windows_s": {one.id: one.window_s for one in promised},
        },
        "evidence": hashed,
        "gate": dict(gate),
        "ledger": head and {"home": head.home, "lines": head.lines, "chain": head.chain},
        "started_at": verdict.started_at,
        "at": jsonl.now(),
    }


def read(path: Path) -> Envelope:
    """Return the statement in a file or in a folder of evidence. Raises EvidenceError."""
    file = path / evidence.STATEMENT if path.is_dir() else path
    try:
        return dsse.parse(file.read_text(encoding="utf-8"), str(file))
    except (OSError, UnicodeDecodeError) as error:
        raise EvidenceError(f"{file}: cannot be read ({error}); the gate had no signing key, or was killed") from error


def publish(remote: GitRemote, path: Path) -> StatementEntry:
    """Record the statement of a gate on the remote, once. Raises EvidenceError without one, or RemoteUnreachable."""
    found = read(path)
    about = statement.parse(found)
    summary = f"{about.kind} {about.environment} {about.release.phase} {about.predicate.get('state', '')}".rstrip()
    return statements_ref.append(remote, found, summary)


def publish_or_say(remote: GitRemote, folder: Path) -> str:
    """Record the statement of a gate if it has one; return what was done, in one line."""
    if not (folder / evidence.STATEMENT).exists():
        return "no signed statement"
    try:
        entry = publish(remote, folder)
    except GaiaError as error:
        return f"statement not recorded, run gaia verdict publish {folder}: {error}"
    return f"statement {entry.envelope.digest[:12]} recorded as number {entry.position}"


def note_gate(environment: Environment, phase: str, commit: str, folder: Path) -> State:
    """Let the ledger point to the evidence of a tag's gate; return its verdict.

    Raises EvidenceError without a verdict, and where another release was gated than the tag's.
    """
    verdict = evidence.read_verdict(folder)
    gated = verdict.release
    if gated and (gated.phase, gated.commit) != (phase, commit):
        found = f"{gated.phase} at {(gated.commit or 'no commit')[:12]} was gated, the tag is at {commit[:12]}"
        raise EvidenceError(f"{folder}: {found}: deploy and gate again")
    whole = folder.resolve()
    deployment_ledger.note(
        environment, environment.name, phase, "gate", verdict.state,
        evidence=str(whole), verdict_sha256=files.sha256(whole / evidence.VERDICT),
        commit=verdict.release and verdict.release.commit, rehearsal=verdict.rehearsal,
    )  # fmt: skip
    return verdict.state


def _release(environment: Environment, verdict: Verdict) -> Release | None:
    """Return what was gated; of a server that did not answer, what is deployed here."""
    if verdict.release or verdict.state is State.PASS or environment.base_url is not None:
        return verdict.release
    return status.status(environment).release
