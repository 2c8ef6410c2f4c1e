"""A person's signature under one item of a checklist, for exactly the verdict that decides now."""

from gaia_checks import jsonl
from gaia_checks.environment.environment import Environment
from gaia_checks.errors import ConfigurationError, NotPromoted, NotSigned
from gaia_checks.model import State
from gaia_checks.printable import printable
from gaia_checks.promotion.examination import SIGN_OFFS, Entrance, examine
from gaia_checks.promotion.promote import entrance
from gaia_checks.promotion.statements import authors, signed, ssh_signature, statement, statements_ref
from gaia_checks.promotion.statements.dsse import Envelope


def sign_off(target: Environment, phase: str, item: str, url: str | None = None) -> str:
    """Sign `item` of the checklist of `target` and record it; return that in one line.

    Raises NotPromoted when there is nothing to sign, or this key may not, and ConfigurationError for an unknown item.
    """
    items = SIGN_OFFS[target.stage]
    if item not in items:
        raise ConfigurationError(f"--item {item}: not on the checklist of {target.name}: {', '.join(items) or 'none'}")
    wanted = entrance(target, phase, url)
    found = examine(wanted)
    if found.verdict is None or found.release is None:
        raise NotPromoted(f"{phase}: nothing to sign off: {'; '.join(found.missing)}")
    decided = found.verdict.statement.predicate
    if decided["state"] != State.PASS or decided["rehearsal"]:
        raise NotPromoted(f"{phase}: nothing to sign off: run {decided['run']} resulted in {decided['state']}")
    predicate = {
        "environment": target.name, "item": item, "approves": found.verdict.statement.digest, "at": jsonl.now(),
    }  # fmt: skip
    content = statement.payload(statement.SIGN_OFF, found.release, predicate)
    made, by = _signed(wanted, content, found.allowed, item)
    statements_ref.append(wanted.remote, made, f"sign-off {target.name} {phase} {item}")
    return f"{target.name}: {phase}: {items[item]}: signed by {printable(by)}, for run {decided['run']}"


def _signed(wanted: Entrance, content: bytes, allowed: str, item: str) -> tuple[Envelope, str]:
    """Sign with the person's key, for a commit of their own in the namespace for that; return who they are."""
    key, own = signed.key_of_person(wanted.target), ""
    for _ in range(2):
        namespace = f"gaia-{statement.SIGN_OFF}{own}/{wanted.target.name}/{item}@v1"
        made = signed.make(content, namespace, key)
        try:
            by = ssh_signature.signer(made.signed, made.signatures[0], namespace, allowed)
        except NotSigned as error:
            whose = f" for a commit of one's own ({wanted.commit[:12]})" if own else ""
            raise NotPromoted(f"{item}: this signature would not count{whose}: {printable(error)}") from error
        if own or by.casefold() not in authors.of(wanted.remote, wanted.commit):
            break
        own = "-own"
    return made, by
