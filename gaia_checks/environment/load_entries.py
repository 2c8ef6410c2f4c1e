"""What sends the load: the entries of `[looks.load]` that are no numbers of criteria.toml.

`where` is the name of the environment file, for the message. All raise EnvironmentFileError.
"""

import re
from collections.abc import Mapping
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

from gaia_checks.environment.environment import MASTER_PORT, LoadSettings
from gaia_checks.errors import EnvironmentFileError

ENGINES = ("locust", "precise")

_MOST = 1000  # processes or workers: more is a typing error
_KEYS = ("engine", "processes", "locustfile", "workers", "master", "join_within_s")
_ADDRESS = re.compile(r"([0-9.]+)(?::([0-9]{1,5}))?")


def settings(where: str, document: Mapping[str, Any], folder: Path) -> LoadSettings:
    """Return what sends the load; paths are relative to `folder`."""
    looks = document.get("looks")
    table = looks.get("load") if isinstance(looks, Mapping) else None
    given = {key: table[key] for key in _KEYS if key in table} if isinstance(table, Mapping) else {}
    found = LoadSettings(
        engine=_engine(where, given.get("engine", "locust")),
        processes=_count(where, "processes", given.get("processes", 1)),
        locustfile=_locustfile(where, given.get("locustfile"), folder),
        workers=_count(where, "workers", given["workers"]) if "workers" in given else 0,
        master=_master(where, given.get("master", f"127.0.0.1:{MASTER_PORT}")),
        join_within_s=_seconds(where, given.get("join_within_s", 60)),
        adapter=_adapter(document) if "workers" in given else None,
    )
    _fit(where, given, found)
    return found


def other_looks(looks: Any) -> Any:
    """Return the table `looks` without what `settings` reads."""
    if not isinstance(looks, Mapping) or not isinstance(looks.get("load"), Mapping):
        return looks
    rest = {key: value for key, value in looks["load"].items() if key not in _KEYS}
    return {look: table for look, table in {**looks, "load": rest}.items() if table or look != "load"}


def _adapter(document: Mapping[str, Any]) -> str | None:
    """Return the name of the adapter's file; None without one."""
    contract = document.get("contract")
    adapter = contract.get("adapter") if isinstance(contract, Mapping) else None
    return Path(adapter).name if isinstance(adapter, str) else None


def _fit(where: str, given: Mapping[str, Any], found: LoadSettings) -> None:
    """Refuse settings that contradict each other."""
    if found.workers and found.processes > 1:
        raise EnvironmentFileError(
            f"{where}: looks.load.processes: workers send the load, not this machine; remove one of the two, and start "
            "a worker for each core of the other machines"
        )
    for key in ("master", "join_within_s"):
        if key in given and not found.workers:
            raise EnvironmentFileError(f"{where}: looks.load.{key}: nobody joins without workers; add e.g. workers = 4")


def _engine(where: str, engine: Any) -> str:
    if engine not in ENGINES:
        raise EnvironmentFileError(f"{where}: looks.load.engine: {engine!r} is not one of {', '.join(ENGINES)}")
    return str(engine)


def _count(where: str, key: str, count: Any) -> int:
    if not isinstance(count, int) or isinstance(count, bool) or not 0 < count <= _MOST:
        raise EnvironmentFileError(
            f"{where}: looks.load.{key}: {count!r} is not a number from 1 to {_MOST}; give e.g. 4"
        )
    return count


def _seconds(where: str, seconds: Any) -> float:
    if not isinstance(seconds, int | float) or isinstance(seconds, bool) or not 1 <= seconds <= 3600:
        raise EnvironmentFileError(
            f"{where}: looks.load.join_within_s: {seconds!r} is not a number from 1 to 3600; give e.g. 60"
        )
    return float(seconds)


def _locustfile(where: str, file: Any, folder: Path) -> Path | None:
    if file is None:
        return None
    if not isinstance(file, str) or not file.endswith(".py"):
        raise EnvironmentFileError(
            f'{where}: looks.load.locustfile: {file!r} is no .py file; write e.g. "../locustfiles/quotas.py"'
        )
    path = (folder / file).resolve()
    if not path.is_file():
        raise EnvironmentFileError(f"{where}: looks.load.locustfile: {path} does not exist; write the mix there")
    return path


def _master(where: str, address: Any) -> str:
    """Return `host:port`; a name is refused, because what it resolves to decides who can reach the port."""
    found = _ADDRESS.fullmatch(address) if isinstance(address, str) else None
    try:
        host, port = (IPv4Address(found[1]), int(found[2] or MASTER_PORT)) if found else (None, 0)
    except ValueError:
        host, port = None, 0
    if host is None or not 0 < port < 65536:
        raise EnvironmentFileError(
            f"{where}: looks.load.master: {address!r} is no IPv4 address of this machine, with or without a port; "
            f'write e.g. "10.0.0.5:{MASTER_PORT}"'
        )
    return f"{host}:{port}"
