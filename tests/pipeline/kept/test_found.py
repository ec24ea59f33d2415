"""What is found again by the names that people gave, and of which there is no record any more."""

import os
import time
from datetime import UTC, datetime

import numpy as np
import pytest

from labdaq.files import CsvFile
from labdaq.pipeline import Pipeline, Replay
from labdaq.pipeline.kept.listing import open_run, runs
from labdaq.pipeline.running.states import RunState
from labdaq.pipeline.workers import board as b
from labdaq.pipeline.workers.board import Board
from tests.pipeline.keeping import taken


def thirds():
    return [np.float32(number) / 3 for number in range(9)]


@pytest.fixture(scope="module")
def named(tmp_path_factory):
    """A run whose sinks have names of their own, and its folder."""
    with Pipeline("named", store=tmp_path_factory.mktemp("runs")) as daq:
        raw = daq.ring("raw", "f4", header={"unit": "mV"})
        daq.source(thirds(), raw)
        daq.sink("x.csv", raw, name="text")
        daq.sink(CsvFile("below/tabs.txt", separator="\t"), raw, name="tabs")
        daq.sink("x.parquet", raw, name="columns")
        daq.sink("x.h5", raw, name="datasets")
        daq.sink("store", raw, name="kept")
        yield daq.run().folder


@pytest.mark.parametrize("file", ["x.csv", "below/tabs.txt", "x.parquet", "x.h5"])
def test_whose_events_a_file_holds_is_known_whatever_its_sink_is_called(named, file):
    with open_run(named) as run:
        assert run.ring_of(named / file) == "raw"
        table = run.table(file)
    assert table["data"].dtype == np.float32
    np.testing.assert_array_equal(table["data"], np.array(thirds()))


def test_a_file_is_replayed_as_it_was_recorded(named):
    assert Replay(named / "x.csv").dtype == np.float32
    assert Replay(named / "x.csv").header == {"unit": "mV"}


def test_the_ring_of_files_that_have_names_is_replayed(tmp_path):
    with Pipeline("named", store=tmp_path) as daq:
        raw = daq.ring("raw", "f4")
        daq.source(thirds(), raw)
        daq.sink("x.csv", raw, name="keep")
        folder = daq.run().folder
    assert Replay(folder, ring="raw").dtype == np.float32


@pytest.mark.parametrize("sink", ["text", "tabs", "columns", "datasets", "kept"])
def test_a_table_is_found_by_the_name_of_its_sink(named, sink):
    with open_run(named) as run:
        np.testing.assert_array_equal(run.table(sink)["data"], np.array(thirds()))


def test_streams_of_a_sink_with_a_name(named):
    with open_run(named) as run:
        assert run.units("kept") == run.units("raw")
        np.testing.assert_array_equal(run.waveforms("kept"), np.array(thirds()))


def test_a_run_is_opened_by_what_the_list_and_the_result_say_of_it(tmp_path):
    result = taken(tmp_path / "old")
    (tmp_path / "old").rename(tmp_path / "new")
    (listed,) = runs(tmp_path / "new")
    with open_run(listed) as run:
        assert (run.key, run.state) == (result.key, "ended")
    with open_run(result, tmp_path / "new") as run:  # by its key: its folder is not there any more
        assert run.folder == listed.folder


def board_says(folder, state, silent_s):
    board = Board.open(folder / "board")
    board.words[b.STATE], board.words[b.HEARTBEAT_NS] = int(state), time.time_ns() - int(silent_s * 1e9)
    board.close()


def test_a_folder_without_its_scan_is_as_its_board_says(tmp_path):
    folder = taken(tmp_path / "store").folder.rename(tmp_path / "muon_0001")
    os.utime(folder, (1, 1))
    with open_run(folder) as run:
        assert (run.state, run.result.state) == ("ended", RunState.ENDED)
        assert "scan was not found" in run.result.reason
        assert run.begun == datetime.fromisoformat(run.log.split()[0])
    (folder / "log.txt").unlink()
    os.utime(folder, (1, 1))
    with open_run(folder) as run:
        assert run.begun == datetime.fromtimestamp(1, UTC)
    board_says(folder, RunState.PAUSED, 0)
    assert open_run(folder).state == "paused"
    board_says(folder, RunState.PAUSED, 60)
    assert open_run(folder).state == "cut"
    (folder / "board").write_bytes(b"no board")
    assert open_run(folder).state == "unknown"
