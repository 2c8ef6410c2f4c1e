"""What an environment file says about who sends the load."""

from pathlib import Path

import pytest

from gaia_checks.environment import environment_file
from gaia_checks.environment.environment import Environment, LoadSettings
from gaia_checks.errors import EnvironmentFileError

GOOD = '[environment]\nstage = "qa"\ndatabase = "none"\nhost = "0.0.0.0"\n'


def load(folder: Path, text: str) -> Environment:
    """Read an environment file with these entries of [looks.load]."""
    path = folder / "x.toml"
    path.write_text(f"{GOOD}[looks.load]\n{text}\n")
    return environment_file.load(str(path), variables={})


def test_without_a_word_one_process_of_this_machine_sends(tmp_path: Path) -> None:
    """A number of the same table is a parameter of the look."""
    found = load(tmp_path, "rate_per_s = 150")
    assert found.load == LoadSettings()
    assert found.looks == {"load": {"rate_per_s": 150}}


def test_all_entries_are_read(tmp_path: Path) -> None:
    """The mix is relative to the file; what sends the load is no parameter of the look."""
    (tmp_path / "ours.py").write_text("")
    found = load(
        tmp_path,
        'engine = "precise"\nlocustfile = "ours.py"\nworkers = 4\nmaster = "10.0.0.5"\njoin_within_s = 300\n',
    )
    assert found.load == LoadSettings("precise", 1, tmp_path / "ours.py", 4, "10.0.0.5:5557", 300.0)
    assert found.looks == {}
    assert load(tmp_path, "processes = 3").load.processes == 3
    assert LoadSettings.from_json(found.load.to_json()) == found.load


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('engine = "k6"', r"looks\.load\.engine: 'k6' is not one of locust, precise"),
        *(
            (f"{key} = {value}", rf"looks\.load\.{key}: .* is not a number from 1 to 1000; give e\.g\. 4")
            for key in ("workers", "processes")
            for value in ("0", "true", "2.5", "1001", '"4"')
        ),
        ('locustfile = "ours"', r"looks\.load\.locustfile: 'ours' is no \.py file; write e\.g\."),
        ('locustfile = "no.py"', r"looks\.load\.locustfile: .*/no\.py does not exist; write the mix there"),
        *(
            (f"workers = 2\nmaster = {master}", r"looks\.load\.master: .* is no IPv4 address of this machine")
            for master in (
                '""',
                "5557",
                '"gate"',
                '"10.0.0.5:0"',
                '"10.0.0.5:65536"',
                '"10.0.0"',
                '"10.0.0.5:"',
                '"::1"',
            )
        ),
        ('master = "10.0.0.5"', r"looks\.load\.master: nobody joins without workers; add e\.g\. workers = 4"),
        ("join_within_s = 60", r"looks\.load\.join_within_s: nobody joins without workers"),
        ("workers = 2\njoin_within_s = 0", r"looks\.load\.join_within_s: 0 is not a number from 1 to 3600"),
        ("workers = 2\nprocesses = 2", r"looks\.load\.processes: workers send the load, not this machine; remove one"),
        ("worker = 2\nwindow_s = true", r"looks\.load\.window_s: True is not above 0"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(tmp_path: Path, text: str, message: str) -> None:
    """Every error names the file, the key and what to write, in one line."""
    with pytest.raises(EnvironmentFileError, match=rf"^x\.toml: {message}") as caught:
        load(tmp_path, text)
    assert "\n" not in str(caught.value)


def test_workers_need_the_adapter_of_the_gate(tmp_path: Path) -> None:
    """They take no code from it, so the command that starts one names the file."""
    adapter = "from gaia_checks.contract.adapter import Adapter\n\nclass Ours(Adapter):\n    pass\n"
    (tmp_path / "ours.py").write_text(adapter)
    found = load(tmp_path, 'workers = 2\n[contract]\nadapter = "ours.py"').load
    assert found.join_command == "gaia load worker --master 127.0.0.1:5557 --adapter ours.py"
    assert load(tmp_path, '[contract]\nadapter = "ours.py"').load.adapter is None


def test_a_load_of_several_processes_waits_for_them_and_no_other(tmp_path: Path) -> None:
    """Locust waits so long for its processes, too; a gate that gave up before would hide the reason."""
    assert [load(tmp_path, text).load.wait_s for text in ("processes = 2", "workers = 2\njoin_within_s = 20", "")] == [
        60,
        20,
        0,
    ]
