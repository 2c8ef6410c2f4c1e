"""The control protocol of the supervisor."""

import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from gaia_checks.deploy.supervisor import control
from gaia_checks.errors import DeployError


def test_a_start_may_take_as_long_as_its_ready_s(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A start adds `ready_s` to the time limit that another request exceeds."""
    monkeypatch.setattr(control, "ANSWER_TIMEOUT_S", 0.05)
    path = tmp_path / "control.sock"
    with socket.socket(socket.AF_UNIX) as listener, ThreadPoolExecutor() as threads:
        listener.bind(str(path))
        listener.listen()
        with control.ControlConnection(path) as patient, control.ControlConnection(path) as other:
            starting = threads.submit(patient.request, "start", order={"ready_s": 30})
            supervisor, _ = listener.accept()
            with supervisor:
                assert b"start" in supervisor.recv(1000)
                with pytest.raises(DeployError, match="does not answer commit: timed out"):
                    other.request("commit")
                supervisor.sendall(control.encode({"pid": 1}))
                assert starting.result() == {"pid": 1}
