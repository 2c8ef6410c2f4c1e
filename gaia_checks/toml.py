"""Write TOML, for the few shapes that an environment has. Pure; `tomllib` reads it back."""

import json
import re
from collections.abc import Mapping, Sequence

Value = str | bool | int | float | Sequence[str]


def document(tables: Mapping[str, Mapping[str, Value]]) -> str:
    """Return one `[table]` after the other; a table's name may be dotted, its parts bare keys. Keys may be any text."""
    return "\n".join(_table(name, table) for name, table in tables.items())


def _table(name: str, table: Mapping[str, Value]) -> str:
    return "\n".join((f"[{name}]", *(f"{_key(key)} = {_value(value)}" for key, value in table.items()))) + "\n"


def _key(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else _text(key)


def _value(value: Value) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, str):
        return _text(value)
    return f"[{', '.join(map(_text, value))}]"


def _text(value: str) -> str:
    """A basic string: JSON's escapes are TOML's, except that TOML wants DEL escaped too."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
