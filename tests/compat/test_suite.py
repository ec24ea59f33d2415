"""Suites as they are read: everything in its place, and each slip told with file, key and value."""

import textwrap
import time

import numpy as np
import pytest

from labdaq.compat.mimocorb.run_folder import new_run_folder, store_of
from labdaq.compat.mimocorb.suite import read_suite
from labdaq.errors import DataError, LayoutError, NotFoundError

SETUP = """
    output_directory: out
    KBD_control: false
    RingBuffer:
      - RB_1:
          number_of_slots: 16
          channel_per_slot: 100
          data_type:
            1: ['chA', "float32"]
            3: ['chB', "float32"]
      - RB_2: {number_of_slots: 8, channel_per_slot: 1, data_type: "int32"}
    Functions:
      - Fkt_main: {config_file: config/common.yaml, runtime: 5, runevents: 7}
      - Fkt_1: {file_name: modules/source, fkt_name: source, num_process: 1, RB_assign: {RB_1: write}}
      - Fkt_2:
          file_name: modules/analyse
          fkt_name: analyse
          num_process: 2
          config_file: config/own.yaml
          RB_assign: {RB_1: read, RB_2: write}
      - Fkt_3: {file_name: modules/look.py, fkt_name: look, num_process: 1, RB_assign: {RB_2: observe}}
      - Fkt_4: {file_name: modules/look, fkt_name: wait, num_process: 1}
    FunctionConfigs:
      source: {rate: 1, gain: 2}
      analyse: {level: 1}
      look: {title: here}
"""
COMMON = """
    general: {runevents: 50}
    source: &anchor {rate: 10}
    analyse: {<<: *anchor, level: 2}
"""
SETUP2 = """
    target_directory: runs
    base_config: [base.yaml, {gain: 3}]
    Buffers:
      Waves: {slot_count: 16, data_length: 100, data_dtype: {A: "<f4", B: "<f4"}}
      Heights: {slot_count: 4, data_dtype: float64}
    Workers:
      source: {file: modules/source.py, function: source, config: {rate: 2}, sinks: [Waves]}
      pulses: {function: analyzers.pha, config: own.yaml, number_of_processes: 2, sources: [Waves], sinks: [Heights]}
      show: {function: observers.oscilloscope, observes: [Waves]}
"""


def write(folder, **files):
    for name, text in files.items():
        file = folder / {"setup": "muon_setup.yaml", "common": "config/common.yaml", "own": "config/own.yaml"}.get(
            name, f"{name}.yaml"
        )
        file.parent.mkdir(exist_ok=True)
        file.write_text(textwrap.dedent(text))
    return folder / "muon_setup.yaml"


def read(folder, setup=SETUP, common=COMMON, own="level: 3"):
    return read_suite(write(folder, setup=setup, common=common, own=own))


def test_everything_has_its_place(tmp_path):
    suite = read(tmp_path)
    assert (suite.runtime, suite.runevents, suite.kbd_control, suite.gui_control) == (5, 50, False, True)
    assert suite.output_directory == tmp_path / "out"
    assert suite.config_files == (tmp_path / "config/common.yaml", tmp_path / "config/own.yaml")
    first, second = suite.buffers
    assert (first.name, first.slots, first.values) == ("RB_1", 16, 100)
    assert first.dtype() == [("chA", np.dtype("f4")), ("chB", np.dtype("f4"))]
    assert second.dtype() == np.dtype("i4")
    source, analyse, look, wait = suite.functions
    assert (source.name, source.function, source.file) == ("Fkt_1", "source", tmp_path / "modules/source.py")
    assert (analyse.processes, analyse.buffers("read"), analyse.buffers("write")) == (2, ("RB_1",), ("RB_2",))
    assert (look.buffers("observe"), look.file) == (("RB_2",), tmp_path / "modules/look.py")
    assert wait.assign == ()
    assert suite.roots() == ("RB_1",)


def test_settings_come_from_the_function_the_common_file_or_the_suite(tmp_path):
    source, analyse, look, wait = read(tmp_path).functions
    assert (source.config, analyse.config, look.config) == ({"rate": 10}, {"level": 3}, {"title": "here"})
    assert wait.config == {}
    alone = SETUP.replace("config_file: config/common.yaml, ", "")
    suite = read(tmp_path, alone)
    assert (suite.functions[0].config, suite.runevents) == ({"rate": 1, "gain": 2}, 7)
    assert read(tmp_path, SETUP, "source: {rate: 4}").functions[0].config == {"rate": 4}


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("number_of_slots: 16", "number_of_slot: 16", r"number_of_slot = 16: .* did you mean 'number_of_slots'"),
        ("number_of_slots: 16", "number_of_slots: many", r"RingBuffer.RB_1.number_of_slots = 'many': a whole number"),
        ("number_of_slots: 16", "number_of_slots: 0", "at least 1"),
        ("- RB_2", "- RB_3", "here 'RB_2' comes"),
        ("- Fkt_2", "- Fkt_3", "here 'Fkt_2' comes"),
        ('"int32"', "int33", r"RB_2.data_type = 'int33': no dtype"),
        ("['chA', \"float32\"]", "chA", "a name and a dtype"),
        ("RB_1: write", "RB_7: write", r"RB_assign.RB_7 = 'write': there is no such buffer; did you mean 'RB_\d'"),
        ("RB_1: write", "RB_1: wirte", r"'wirte': .* did you mean 'write'"),
        ("num_process: 2", "num_process: two", r"Fkt_2.num_process = 'two'"),
        ("fkt_name: analyse", "function: analyse", "Fkt_2.fkt_name: this is missing"),
        ("runtime: 5", "runtime: -5", "runtime = -5: at least 0"),
        ("Functions:", "Function:", "did you mean 'Functions'"),
        ("KBD_control: false", "KBD_control: maybe", r"muon_setup.yaml: KBD_control = 'maybe': true or false"),
        ("FunctionConfigs:", "FunctionConfigs: 3\n    rest:", "FunctionConfigs = 3: keys with values"),
        ("- Fkt_4: {", "- {", "Functions.4. = "),
    ],
)
def test_a_slip_is_told_with_its_key_and_value(tmp_path, old, new, told):
    assert old in SETUP
    with pytest.raises(LayoutError, match=told):
        read(tmp_path, SETUP.replace(old, new, 1))


def test_files_that_are_not_there_or_damaged(tmp_path):
    read(tmp_path)
    with pytest.raises(NotFoundError, match=r"did you mean 'muon_setup.yaml'"):
        read_suite(tmp_path / "muon_setpu.yaml")
    with pytest.raises(NotFoundError, match=r"did you mean 'own.yaml'"):
        read(tmp_path, SETUP.replace("own.yaml", "owm.yaml"))
    with pytest.raises(DataError, match="line 2"):
        read(tmp_path, SETUP, "a: b\nc: [d")
    with pytest.raises(DataError, match="list"):
        read(tmp_path, "- a")
    with pytest.raises(DataError, match="python"):
        read(tmp_path, "a: !!python/object:os.system {}")


def test_what_is_unknown_is_ignored_as_in_v1(tmp_path):
    assert read(tmp_path, SETUP + "\n    templates: {a: 1}\n").buffers == read(tmp_path).buffers


def test_suites_of_mimocorb2(tmp_path):
    suite = read_suite(_second(tmp_path))
    waves, heights = suite.buffers
    assert (waves.name, waves.slots, waves.values, waves.dtype()[0][0]) == ("Waves", 16, 100, "A")
    assert (heights.values, heights.dtype()) == (1, np.dtype("f8"))
    source, pulses, show = suite.functions
    assert source.config == {"gain": 3, "offset": 2, "rate": 2}
    assert (pulses.file, pulses.function, pulses.processes, pulses.config["level"]) == (None, "analyzers.pha", 2, 9)
    assert show.buffers("observe") == ("Waves",)
    assert suite.shares_events
    assert (suite.output_directory, suite.roots()) == (tmp_path / "runs", ("Waves",))
    assert [file.name for file in suite.config_files] == ["base.yaml", "own.yaml"]


def _second(folder, text=SETUP2):
    (folder / "own.yaml").write_text("level: 9")
    return write(folder, setup=text, base="{gain: 1, offset: 2}")


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("analyzers.pha", "analyzers.pah", "without a file .* did you mean 'analyzers.pha'"),
        ("sources: [Waves]", "sources: [Wave]", r"Workers.pulses.sources = \['Wave'\]: there is no buffer 'Wave'"),
        ("slot_count: 4", "slot_count: four", "Buffers.Heights.slot_count = 'four'"),
        ("config: own.yaml", "config: 3", "Workers.pulses.config = 3"),
        ("float64", "float65", "no dtype"),
    ],
)
def test_slips_in_suites_of_mimocorb2(tmp_path, old, new, told):
    with pytest.raises(LayoutError, match=told):
        read_suite(_second(tmp_path, SETUP2.replace(old, new)))


def test_runs_are_kept_beside_the_suite_and_never_among_other_things(tmp_path):
    suite = read(tmp_path)
    assert (suite.name, store_of(suite)) == ("muon", tmp_path / "runs")
    assert store_of(read(tmp_path, SETUP.replace("output_directory: out", "output_directory: runs"))).name == "scans"
    (tmp_path / "runs").mkdir()
    assert store_of(suite) == tmp_path / "runs"
    (tmp_path / "runs/notes.txt").touch()
    assert store_of(suite) == tmp_path / "runs/scans"
    (tmp_path / "runs/catalogue.db").touch()
    assert store_of(suite) == tmp_path / "runs"


def test_two_runs_in_one_minute_do_not_share_a_folder(tmp_path):
    suite = read(tmp_path)
    now = time.localtime(0)
    folders = [new_run_folder(suite, now) for _ in range(3)]
    assert len({*folders}) == 3
    assert folders[0].parent == tmp_path / "out"
    assert folders[0].name.startswith("muon_19")
    assert [folder.name.removeprefix(folders[0].name) for folder in folders] == ["", "_2", "_3"]
    assert sorted(file.name for file in folders[0].iterdir()) == ["common.yaml", "muon_setup.yaml", "own.yaml"]
