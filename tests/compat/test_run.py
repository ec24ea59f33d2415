"""Suites as they run: in processes of their own, to an end in every case."""

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import labdaq.compat.mimocorb
from labdaq.compat.mimocorb.aliases import MimocorbFinder
from labdaq.compat.mimocorb.buffer_control import buffer_control, run_mimoDAQ
from labdaq.compat.mimocorb.suites import open_v1
from labdaq.errors import NotFoundError, StateError
from labdaq.files import read_csv, read_parquet_tar
from labdaq.pipeline import RunState
from tests.compat.writing import DRAIN, suite

ROOT = Path(labdaq.__file__).parent.parent
WORKSPACE = Path(labdaq.compat.mimocorb.__file__).parent / "workspace"


def test_a_suite_ends_with_its_source(tmp_path, capsys):
    daq = run_mimoDAQ(suite(tmp_path, events=50), verbose=0)
    daq.setup()
    daq.run()
    assert daq.counts == {"RB_1": 50, "RB_2": 25}
    assert (daq.bc.status, daq.info.events, daq.bc.left_behind) == ("Shutdown", 50, {})
    records = read_csv(Path(daq.directory_prefix) / "halves.txt").records
    assert records["half"].tolist() == list(range(25))
    assert records["counter"].tolist() == list(range(1, 50, 2))
    assert capsys.readouterr() == ("", "")
    assert "mimocorb" not in sys.modules
    assert not any(isinstance(finder, MimocorbFinder) for finder in sys.meta_path)
    daq.end()


def test_buffers_and_workers_by_hand(tmp_path, monkeypatch):
    nobody = "  - Fkt_3: {file_name: modules/mine, fkt_name: save, num_process: 0, RB_assign: {RB_1: read}}\n"
    content = yaml.safe_load(suite(tmp_path, DRAIN + nobody, events=40).read_text())
    monkeypatch.chdir(tmp_path)
    control = buffer_control(content["RingBuffer"], content["Functions"], content["FunctionConfigs"], str(tmp_path))
    assert list(control.setup_buffers()) == control.ringbuffer_names == ["RB_1", "RB_2"]
    control.setup_workers()
    assert "Fkt_2: drain (1) RB_1 read" in control.display_functions()
    workers = control.start_workers()
    control.pause()
    assert (control.status, control.ringbuffers["RB_1"].writers_paused.is_set()) == ("Paused", True)
    control.resume()
    while not control.is_exhausted:
        control.poll()
    control.shutdown()
    assert (control.counts["RB_1"], control.failures) == (40, [])
    assert [(worker.state, worker.exitcode) for worker in workers] == [("ended", 0), ("ended", 0)]
    assert (tmp_path / "message.txt").exists()


def test_an_event_that_kills_all_who_try_it_ends_the_run(tmp_path):
    daq = run_mimoDAQ(suite(tmp_path, config="  every_second: {die_at: 3}\n"), verbose=0)
    with pytest.raises(StateError, match=r"'every_second' of the suite failed:\n.* by signal 9"):
        daq.run()
    assert daq.counts["RB_2"] == 2
    assert read_csv(daq.folder / "halves.txt").records["half"].tolist() == [0, 1]
    left = daq.bc.left_behind["RB_1", "every_second"]
    result = daq.kept.result
    assert (result.ledger.is_closed, result.restarts, result.ledger["every_second"].undelivered) == (True, 2, left)
    assert result.ledger["every_second"].received == daq.counts["RB_1"] == left + 3


def script(folder, **how):
    """A run of v1's script, as it stands in its manual: it does not ask whether it is the main program."""
    suite(folder, DRAIN, keyboard="true", **how)
    text = "from labdaq.compat.mimocorb.buffer_control import run_mimoDAQ\n"
    (folder / "run_daq.py").write_text(
        text + "daq = run_mimoDAQ()\ndaq.setup()\ndaq.run()\nprint(daq.counts, flush=True)\n"
    )
    return subprocess.Popen(
        [sys.executable, "run_daq.py", "small_setup.yaml"],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def await_events(process):
    """Read the state until there are events."""
    await_text(process, r"RB_1: [1-9]\d* \(\d+\) [0-9.e+]+ Hz")


def await_text(process, pattern):
    """Read what it says until there is what is looked for."""
    text = ""
    while not re.search(pattern, text):
        character = process.stderr.read(1)
        assert character, text
        text += character


def test_commands_come_through_a_pipe_and_a_signal_ends_it_at_once(tmp_path):
    with script(tmp_path) as process:
        await_events(process)
        process.stdin.write("x\np\n")
        process.stdin.flush()
        await_text(process, "'X' is no command")
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert "interrupted" in err
    assert "Traceback" not in err
    assert out.startswith("{'RB_1': ")


def edit(file, *changes):
    text = file.read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    file.write_text(text)


def test_the_example_gives_consistent_files(tmp_path):
    folder = shutil.copytree(WORKSPACE, tmp_path / "muon", ignore=shutil.ignore_patterns("__pycache__"))
    edit(folder / "config/simulation_config.yaml", ("0.005", "0.0"))
    edit(folder / "lifetime_setup.yaml", ("num_process: 2", "num_process: 1"))  # one compiles, once
    result = open_v1(folder / "lifetime_setup.yaml").run(events=120)
    assert (result.state, result.errors, result.ledger.is_closed) == (RunState.ENDED, (), True)
    assert "as many events as were wanted" in result.reason
    found = result.ledger["calculate_decay_time"]
    assert result.written["RB_1"] == found.accepted + found.rejected == 120
    assert 5 < result.written["RB_2"] == result.written["RB_3"] == found.accepted < 40
    records = read_csv(result.folder / "decays.txt").records
    events = list(read_parquet_tar(result.folder / "double_pulses.tar"))
    assert len(records) == len(events) == result.written["RB_2"]
    assert sorted(records["counter"]) == sorted(event.counter for event in events)
    assert events[0].records.dtype.names == ("chA", "chB", "chC", "chD")
    assert {file.name for file in result.folder.iterdir()} > {"lifetime_setup.yaml", "simulation_config.yaml"}
    assert {one.exitcode for one in result.workers} == {0}


def test_what_cannot_run_is_told(tmp_path, monkeypatch):
    control = buffer_control([], [], {}, tmp_path)
    with pytest.raises(StateError, match="'BuffersSet'; it is 'Initialized'"):
        control.setup_workers()
    control.shutdown()
    monkeypatch.setattr(sys, "argv", sys.argv[:1])
    with pytest.raises(NotFoundError, match="argument of the program"):
        run_mimoDAQ()


def test_the_alias_finds_nothing_else():
    finder = MimocorbFinder()
    assert finder.find_spec("mimocorbs") is None
    assert finder.find_spec("mimocorb.plot_buffer") is not None
