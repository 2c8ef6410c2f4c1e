"""What the target's process holds open: counted without its clients' connections, and judged by its trend."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from gaia_checks.judge import criteria_file
from gaia_checks.judge.check_rules import RULES, Analysis
from gaia_checks.model import State
from gaia_checks.recorders.resources import open_resources
from gaia_checks.recorders.resources.open_resources import DESCRIPTORS, MEASURES, SESSIONS, THREADS
from tests.probes.servers import known, target
from tests.recorders import stage

CRITERION = next(each for each in criteria_file.load().criteria if each.id == "prod.resources")
CHECKS = {check.measurement: check for check in CRITERION.checks if check.measurement in MEASURES.table}
LISTENING = """
import socket, sys, threading, time
listener = socket.create_server(("127.0.0.1", 0))
kept = [open("/dev/null") for _ in range(7)]
for _ in range(3): threading.Thread(target=time.sleep, args=(30,), daemon=True).start()
print(listener.getsockname()[1], flush=True)
clients = []
while True: clients.append(listener.accept())
"""


def test_connections_of_clients_do_not_count(tmp_path: Path) -> None:
    """Files and threads do, and a connection whose client has left."""
    process = subprocess.Popen([sys.executable, "-c", LISTENING], stdout=subprocess.PIPE)
    at = target("http://127.0.0.1:9", process=known(process.pid, Path(sys.executable)))
    try:
        assert process.stdout is not None
        address = ("127.0.0.1", int(process.stdout.readline()))
        before = stage.run(open_resources.record, at, tmp_path, window_s=0)
        left = socket.create_connection(address)
        with socket.create_connection(address):
            left.close()
            _until_descriptors(process.pid, int(before[DESCRIPTORS].value[0][1]) + 2)
            after = stage.run(open_resources.record, at, tmp_path, window_s=0)
    finally:
        process.kill()
        process.communicate()
    assert before[THREADS].value[0][1] == 4
    assert before[DESCRIPTORS].value[0][1] >= 3 + 1 + 7
    assert after[DESCRIPTORS].value[0][1] == before[DESCRIPTORS].value[0][1] + 1
    assert (after[SESSIONS].n, "DATABASE_URL" in after[SESSIONS].notes[0]) == (0, True)


def _until_descriptors(pid: int, number: int) -> None:
    while len(list(Path(f"/proc/{pid}/fd").iterdir())) < number:
        pass


def test_a_process_elsewhere_gives_a_reason(tmp_path: Path) -> None:
    """Nothing has samples."""
    measured = stage.run(open_resources.record, target("http://127.0.0.1:9"), tmp_path, window_s=0)
    assert {each.n for each in measured.values()} == {0}
    for each in measured.values():
        assert each.notes[0].startswith("not checked: the server's process cannot be observed")


@pytest.mark.parametrize("name", MEASURES.table)
def test_each_is_judged_by_its_trend(name: str) -> None:
    """A leak of one each ten seconds is certain; pools that grow once, and a busy hour, are not."""
    half_an_hour = [float(t) for t in range(0, 1801, 10)]
    assert _state(name, [(t, 30 + t // 10) for t in half_an_hour]) is State.FAIL
    assert _state(name, [(t, 30 + t // 7 % 3) for t in half_an_hour]) is State.PASS
    assert _state(name, [(t, 30 + 9 * (t > 900)) for t in half_an_hour]) is State.PASS
    assert _state(name, [(t, 30 + 300 * (t > 900)) for t in half_an_hour]) is not State.FAIL
    assert _state(name, [(t, 30) for t in half_an_hour if t < 600]) is State.INCONCLUSIVE


def _state(name: str, series: list[tuple[float, float]]) -> State:
    measured = MEASURES.measurement(name, series, n=len(series), window_s=series[-1][0])
    return RULES[CHECKS[name].rule](CHECKS[name], measured, Analysis(CRITERION.looks_s, 0, rehearsal=False)).state
