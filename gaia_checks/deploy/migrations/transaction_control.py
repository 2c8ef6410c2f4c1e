"""Finds transaction control in a migration (pure)."""

from gaia_checks.deploy.migrations.sql_lexer import statements

_CONTROL = frozenset({"ABORT", "BEGIN", "COMMIT", "END", "RELEASE", "ROLLBACK", "SAVEPOINT"})
_CONTROL_PAIRS = frozenset({("START", "TRANSACTION"), ("PREPARE", "TRANSACTION")})


def transaction_control(sql: str) -> tuple[int, str] | None:
    """Return line and keywords of the first statement that starts or ends a transaction, None without one.

    Comments, strings, quoted names and function bodies are ignored.
    """
    for line, words in statements(sql):
        if words[0] in _CONTROL:
            return line, words[0]
        if words[:2] in _CONTROL_PAIRS:
            return line, " ".join(words[:2])
    return None
