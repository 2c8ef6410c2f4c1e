"""The import of rules: what would change, and all of it in one transaction."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import LiteralString

from gaia_server.limiting.rules import Rule, RuleFields
from gaia_server.storage.store import ALL_RULES, FIELDS, Run, Store

# Nobody else changes a rule until the transaction ends; requests are decided meanwhile.
_LOCK: LiteralString = "LOCK TABLE rate_limit_configs IN SHARE ROW EXCLUSIVE MODE"
_CREATE: LiteralString = """
    INSERT INTO rate_limit_configs (rule_name, scope, scope_value, limit_type, limit_value, resource_type, enabled)
    SELECT * FROM unnest(%(rule_name)s::text[], %(scope)s::text[], %(scope_value)s::text[], %(limit_type)s::text[],
        %(limit_value)s::bigint[], %(resource_type)s::text[], %(enabled)s::boolean[])
"""
_REPLACE: LiteralString = """
    UPDATE rate_limit_configs AS c SET scope = w.scope, scope_value = w.scope_value, limit_type = w.limit_type,
        limit_value = w.limit_value, resource_type = w.resource_type, enabled = w.enabled
    FROM unnest(%(rule_name)s::text[], %(scope)s::text[], %(scope_value)s::text[], %(limit_type)s::text[],
        %(limit_value)s::bigint[], %(resource_type)s::text[], %(enabled)s::boolean[])
        AS w (rule_name, scope, scope_value, limit_type, limit_value, resource_type, enabled)
    WHERE c.rule_name = w.rule_name
"""


@dataclass(frozen=True, slots=True)
class Changes:
    """What an import changes: rules that are new, and those that replace the one of their name."""

    created: Sequence[RuleFields]
    changed: Sequence[tuple[Rule, RuleFields]]
    unchanged: int


def changes(before: Sequence[Rule], wanted: Sequence[RuleFields]) -> Changes:
    """Return what the wanted rules change; rules that are not among them stay. Pure."""
    known = {rule.rule_name: rule for rule in before}
    created = [rule for rule in wanted if rule.rule_name not in known]
    changed = [
        (old, rule) for rule in wanted if (old := known.get(rule.rule_name)) is not None and _fields(old) != rule
    ]
    return Changes(created, changed, len(wanted) - len(created) - len(changed))


async def apply(store: Store, wanted: Sequence[RuleFields], may: Callable[[Sequence[Rule]], bool]) -> Changes | None:
    """Make the changes, all or none, if `may` accepts the rules now; None if not. Raises Unavailable."""

    async def work(run: Run) -> Changes | None:
        await run(_LOCK)
        before = [Rule(**row) for row in await run(ALL_RULES)]
        if not may(before):
            return None
        found = changes(before, wanted)
        await run(_CREATE, _columns(found.created))
        await run(_REPLACE, _columns([after for _, after in found.changed]))
        return found

    return await store.transaction(work)


def _fields(rule: Rule) -> RuleFields:
    return RuleFields(**{name: getattr(rule, name) for name in FIELDS})


def _columns(rules: Sequence[RuleFields]) -> dict[str, list[object]]:
    rows = [asdict(rule) for rule in rules]
    return {name: [row[name] for row in rows] for name in FIELDS}
