"""Suites as they run: in processes of their own, to an end in every case."""

import os
import re
import shutil
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import yaml

import labdaq.compat.mimocorb
from labdaq.compat.mimocorb.aliases import MimocorbFinder
from labdaq.compat.mimocorb.buffer_control import buffer_control, run_mimoDAQ
from labdaq.errors import LayoutError, NotFoundError, StateError
from labdaq.files import read_csv, read_parquet_tar

ROOT = Path(labdaq.__file__).parent.parent
WORKSPACE = Path(labdaq.compat.mimocorb.__file__).parent / "workspace"

# written for v1: it knows nothing of labdaq
MODULE = """
    import os, time
    import numpy as np
    from mimocorb import mimo_buffer as bm
    from mimocorb.buffer_control import rbImport, rbTransfer, rb_toTxtfile, rbDrain
    import neighbour

    def source(source_list=None, sink_list=None, observe_list=None, config_dict=None, **rb_info):
        def events():
            for n in range(config_dict["events"]):
                time.sleep(0.001)
                yield [np.full(3, n)], None
            yield None, None
        rbImport(sink_list, config_dict, events, **rb_info)()

    def every_second(source_list=None, sink_list=None, observe_list=None, config_dict=None, **rb_info):
        def keep(data):
            n = data["n"][0]
            if n == config_dict.get("fail_at"):
                raise RuntimeError("the sensor is wet")
            if n == config_dict.get("die_at"):
                os.kill(os.getpid(), 9)
            if n % 2:
                return None
            record = np.zeros(1, sink_list[0]["dtype"])
            record["half"] = neighbour.half(n)
            return [record]
        rbTransfer(source_list, sink_list, config_dict, keep, **rb_info)()

    def save(source_list=None, sink_list=None, observe_list=None, config_dict=None, **rb_info):
        rb_toTxtfile(source_list, config_dict, **rb_info)()

    def drain(source_list=None, sink_list=None, observe_list=None, config_dict=None, **rb_info):
        assert bm.__name__ == "labdaq.compat.mimocorb.mimo_buffer"
        rbDrain(source_list, config_dict, **rb_info)()
"""
BUFFERS = """
    KBD_control: {keyboard}
    RingBuffer:
      - RB_1: {{number_of_slots: 16, channel_per_slot: 3, data_type: {{1: [n, int64]}}}}
      - RB_2: {{number_of_slots: 8, channel_per_slot: 1, data_type: {{1: [half, int64]}}}}
    Functions:
      - Fkt_main: {{runevents: {runevents}}}
      - Fkt_1: {{file_name: modules/mine, fkt_name: source, num_process: 1, RB_assign: {{RB_1: write}}}}
"""
CHAIN = """\
      - Fkt_2:
          {file_name: modules/mine, fkt_name: every_second, num_process: 1, RB_assign: {RB_1: read, RB_2: write}}
      - Fkt_3: {file_name: modules/mine, fkt_name: save, num_process: 1, RB_assign: {RB_2: read}}
"""
DRAIN = "  - Fkt_2: {file_name: modules/mine, fkt_name: drain, num_process: 1, RB_assign: {RB_1: read}}\n"


def suite(folder, functions=CHAIN, *, config="", events=100000, runevents=0, keyboard="false"):
    """Write a suite; the path of its setup file."""
    (folder / "modules").mkdir()
    (folder / "modules/mine.py").write_text(textwrap.dedent(MODULE))
    (folder / "modules/neighbour.py").write_text("def half(n):\n    return n // 2\n")
    text = textwrap.dedent(BUFFERS.format(runevents=runevents, keyboard=keyboard))
    text += textwrap.indent(textwrap.dedent(functions), "  ")
    text += f"FunctionConfigs:\n  source: {{events: {events}}}\n  save: {{filename: halves}}\n{config}"
    (folder / "small_setup.yaml").write_text(text)
    return folder / "small_setup.yaml"


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
    assert [worker.state for worker in workers] == ["ended", "ended"]
    assert (tmp_path / "message.txt").exists()


@pytest.mark.parametrize(
    ("config", "told"),
    [("fail_at: 3", r"'every_second' of the suite failed:(.|\n)*the sensor is wet"), ("die_at: 3", "by signal 9")],
)
def test_a_function_that_fails_ends_the_run(tmp_path, config, told):
    daq = run_mimoDAQ(suite(tmp_path, config=f"  every_second: {{{config}}}\n"), verbose=0)
    with pytest.raises(StateError, match=told):
        daq.run()
    assert daq.counts["RB_2"] == 2
    assert read_csv(daq.folder / "halves.txt").records["half"].tolist() == [0, 1]
    assert daq.bc.left_behind["RB_1", "every_second"] >= 1


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
    text = ""
    while not re.search(r"RB_1: [1-9]\d* \(\d+\) [0-9.e+]+ Hz", text):
        character = process.stderr.read(1)
        assert character, text
        text += character


def test_commands_come_through_a_pipe(tmp_path):
    with script(tmp_path) as process:
        await_events(process)
        out, err = process.communicate("x\np\nr\ne\n", timeout=30)
    assert process.returncode == 0, err
    assert "'X' is no command" in err
    assert out.startswith("{'RB_1': ")


def test_a_signal_ends_a_run_at_once(tmp_path):
    with script(tmp_path) as process:
        await_events(process)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
    assert process.returncode == 0, err
    assert "interrupted" in err
    assert "Traceback" not in err


def edit(file, *changes):
    text = file.read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    file.write_text(text)


def test_the_example_gives_consistent_files(tmp_path):
    folder = shutil.copytree(WORKSPACE, tmp_path / "muon", ignore=shutil.ignore_patterns("__pycache__"))
    edit(folder / "config/simulation_config.yaml", ("runevents: 2000", "runevents: 120"), ("0.005", "0.0"))
    edit(folder / "lifetime_setup.yaml", ("num_process: 2", "num_process: 1"))  # one compiles, once
    daq = run_mimoDAQ(folder / "lifetime_setup.yaml", verbose=0)
    daq.run()
    assert daq.counts["RB_1"] == 120
    assert 5 < daq.counts["RB_2"] == daq.counts["RB_3"] < 40
    records = read_csv(daq.folder / "decays.txt").records
    events = list(read_parquet_tar(daq.folder / "double_pulses.tar"))
    assert len(records) == len(events) == daq.counts["RB_2"]
    assert sorted(records["counter"]) == sorted(event.counter for event in events)
    assert events[0].records.dtype.names == ("chA", "chB", "chC", "chD")
    assert {file.name for file in daq.folder.iterdir()} > {"lifetime_setup.yaml", "simulation_config.yaml"}


def test_what_cannot_run_is_told(tmp_path, monkeypatch):
    file = tmp_path / "setup.yaml"
    file.write_text("{Buffers: {A: {slot_count: 1, data_dtype: f8}}, Workers: {}}")
    daq = run_mimoDAQ(file, verbose=0)
    with pytest.raises(LayoutError, match="mimoCoRB2"):
        daq.setup()
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
