"""Suites of both programs as `labdaq run` runs them: one run of each, and what came of it."""

import os
import re
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

import labdaq
from labdaq.compat.mimocorb.suites import open_v2
from labdaq.compat.mimocorb2 import Control
from labdaq.compat.mimocorb2.mimo_file import MimoReader
from labdaq.errors import LayoutError, NotFoundError
from labdaq.files import read_csv
from labdaq.pipeline import RunState
from tests.compat.writing import DRAIN, suite

ROOT = Path(labdaq.__file__).parent.parent

# written for mimoCoRB2: it knows nothing of labdaq
MODULE = """
    import mimocorb2 as mi2
    from mimocorb2 import BufferIO
    from mimocorb2.worker_templates import Importer, Processor

    def source(buffer_io: BufferIO):
        importer = Importer(buffer_io)
        record = importer.data_example
        def ufunc():
            for number in range(buffer_io["events"]):
                out = record.copy()
                out["A"][number % 90 + 2] = number + 1
                yield out
            yield None
        importer(ufunc)

    def heights(buffer_io):
        processor = Processor(buffer_io)
        example = buffer_io.data_out_examples[1].copy()
        def ufunc(data):
            height = data["A"].max()
            if height % 10 == buffer_io.get("unlucky", -1):
                raise RuntimeError("the crystal is cracked")
            example["height"] = height
            return [data if height % 2 else None, example]
        processor(ufunc)
        buffer_io.logger.warning("done in %s, run in %s", buffer_io.setup_dir.name, buffer_io.run_dir.parent.name)

    def look(buffer_io):
        observer, is_alive = mi2.Observer(buffer_io), mi2.IsAlive(buffer_io)
        for data, metadata in observer():
            if data is None:
                break
        assert not is_alive()
"""
SETUP = """
    target_directory: runs
    base_config: [base.yaml, {gain: 3}]
    waves: &waves {slot_count: 8, data_length: 100, data_dtype: {A: "<f4", B: "<f4"}, overwrite: true}
    Buffers:
      Waves: *waves
      Odd: *waves
      Heights: {slot_count: 16, data_length: 1, data_dtype: {height: "<f8"}}
    Workers:
      source: {file: modules/mine.py, function: source, sinks: [Waves]}
      heights:
        {file: modules/mine.py, function: heights, number_of_processes: 2, sources: [Waves], sinks: [Odd, Heights]}
      keep: {function: data.export, sources: [Odd]}
      table: {function: exporters.csv, sources: [Heights], config: {filename: found}}
      look: {file: modules/mine.py, function: look, observes: [Waves]}
"""


def second(folder, **config):
    """Write a suite of mimoCoRB2; the path of its file."""
    (folder / "modules").mkdir(parents=True)
    (folder / "modules/mine.py").write_text(textwrap.dedent(MODULE))
    (folder / "base.yaml").write_text(f"{config}")
    (folder / "spin_setup.yaml").write_text(textwrap.dedent(SETUP))
    return folder / "spin_setup.yaml"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of 300 events through two workers side by side."""
    return open_v2(second(tmp_path_factory.mktemp("second"), events=300)).run()


def test_nothing_is_lost_with_workers_side_by_side(run):
    assert (run.state, run.is_interrupted, run.errors) == (RunState.ENDED, False, ())
    assert run.written == {"Waves": 300, "Odd": 150, "Heights": 300}
    assert [(node.name, node.received, node.accepted) for node in run.ledger.nodes if node.role != "task"] == [
        ("source", 300, 300),
        ("heights", 300, 300),
        ("keep", 150, 150),
        ("table", 300, 300),
    ]
    assert run.ledger.is_closed
    assert sum(one.counts["accepted"] for one in run.workers if one.name == "heights") == 300


def test_all_workers_end_by_themselves(run):
    assert [(one.name, one.state, one.exitcode, one.reason) for one in run.workers] == [
        (name, "ended", 0, "") for name in ("source", "heights", "heights", "keep", "table", "look")
    ]


def test_files_are_complete(run):
    records = read_csv(run.folder / "found.csv").records
    assert sorted(records["height"]) == list(range(1, 301))
    assert (records["height"] == records["counter"] + 1).all()
    with MimoReader(run.folder / "Odd.mimo") as file:
        heights = [(wave["A"].max(), metadata["counter"][0]) for wave, metadata in file]
    assert sorted(heights) == [(number, number - 1) for number in range(1, 300, 2)]
    assert {file.name for file in run.folder.iterdir()} >= {"spin_setup.yaml", "base.yaml", "heights.log"}
    assert re.fullmatch(r"run_\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d", run.folder.name)
    assert "run in runs" in (run.folder / "heights.log").read_text()


def test_the_result_can_be_read(run):
    text = str(run)
    assert "run 1 of 'spin': ended, the source has no more events" in text
    assert "heights: in 300 = accepted 300" in text
    assert "workers: source ended, 2 x heights ended, keep ended" in text
    assert f"files: {run.folder}" in text


def test_the_name_is_taken_in_workers_only(run):
    assert "mimocorb2" not in sys.modules


def test_a_worker_that_fails_ends_the_run_and_the_rest_is_kept(tmp_path):
    file = second(tmp_path, events=300, unlucky=7)
    small = re.sub(r"(?m)^ *(keep|look): .*\n", "", file.read_text()).replace("number_of_processes: 2, ", "")
    file.write_text(small)
    result = Control.from_setup_file(file, mode="gui+stats")()
    assert result.state is RunState.FAILED
    assert "the crystal is cracked" in result.errors[0]
    assert "heights failed" in str(result)
    assert result.ledger.is_closed
    assert result.written["Heights"] == result.ledger["table"].accepted == result.ledger["heights"].accepted
    assert result.ledger["heights"].undelivered >= 1
    found = np.sort(read_csv(result.folder / "found.csv").records["height"])
    assert len(np.unique(found)) == len(found)
    assert 7 not in found


def test_interrupted_it_keeps_what_was_taken(tmp_path):
    file = suite(tmp_path, DRAIN, keyboard="true")
    program = (
        "import sys; from labdaq.compat.mimocorb.suites import open_v1; run = open_v1(sys.argv[1]).run(None, 60); "
        "print(run.is_interrupted, run.state, run.written['RB_1'] == run.ledger['drain'].accepted, "
        "run.ledger.is_closed)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(file)],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        folder = tmp_path / "target"
        while not list(folder.glob("*/message.txt")):  # the reader is there
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    assert out.split() == ["True", "ended", "True", "True"]


def test_what_is_wrong_is_told_before_anything_runs(tmp_path):
    file = second(tmp_path)
    file.write_text(file.read_text().replace("data.export", "importers.picoscope.picoscope"))
    with pytest.raises(LayoutError, match=r"Workers.keep.function .*labdaq.devices.PicoScope"):
        open_v2(file)
    with pytest.raises(NotFoundError, match=r"did you mean 'spin_setup.yaml'"):
        open_v2(tmp_path / "spin_setpu.yaml")
    assert not (tmp_path / "runs").exists()
