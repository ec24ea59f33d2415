"""Suites in a notebook: the panel in place of v1's window of buffers, and live plots in place of its displays."""

import subprocess
import sys
import time

import pytest

import labdaq
from labdaq.compat.mimocorb.displays import histograms_of
from labdaq.compat.mimocorb.mimo_buffer import NewBuffer, Writer
from labdaq.compat.mimocorb.suites import open_v1
from labdaq.errors import StateError
from labdaq.pipeline import RunState
from labdaq.widgets.subjects import subject_of
from tests.compat.test_run import WORKSPACE
from tests.compat.writing import DRAIN, suite


def until(condition, seconds=60.0):
    """Wait for a condition."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.01)


def test_a_panel_starts_pauses_and_stops_a_suite_and_another_process_could(tmp_path):
    opened = open_v1(suite(tmp_path, DRAIN))
    subject = subject_of(opened)
    assert (subject.allowed(), subject.see().state, subject.ring_names) == ({"start"}, "IDLE", ["RB_1", "RB_2"])
    with pytest.raises(StateError, match="no run"):
        opened.pause()
    subject.do("start")
    until(lambda: subject.see().snapshot.events)
    assert "drain" in [node.name for node in subject.see().snapshot.nodes]
    with pytest.raises(StateError, match="a run of 'small' is on"):
        opened.start()
    subject.do("pause")
    until(lambda: subject.see().state == "PAUSED" and any("paused" in line for line in subject.log))
    with labdaq.attach(opened.current.folder) as attached:
        until(lambda: attached.state == RunState.PAUSED)
        assert attached.name == "small"
        attached.resume()
        until(lambda: subject.see().state == "RUNNING")
        attached.stop()
        assert attached.wait(60) == RunState.ENDED  # this process lives on
        result = opened.wait(60)
        assert (attached.is_over, attached.result.events) == (True, result.events)
        with pytest.raises(StateError, match="is over"):
            attached.pause()
    assert (result.state, result.reason, result.ledger.is_closed) == (RunState.ENDED, "asked to from outside", True)
    assert subject.see().balance[0].startswith("source: in ")
    assert subject.allowed() == {"start"}
    subject.close()


def test_what_started_hears_commands_at_once_and_tells_its_numbers_also_afterwards(tmp_path):
    opened = open_v1(suite(tmp_path, DRAIN))
    run = opened.start()
    assert (opened.state, run.snapshot().state) == (RunState.RUNNING, "RUNNING")
    opened.pause()
    opened.resume()
    until(lambda: run.snapshot().events)
    opened.stop()
    result = opened.wait(60)
    last = run.snapshot()
    assert (last.state, last.events) == ("ENDED", result.events)
    assert {ring.name: ring.written for ring in last.rings}["RB_1"] == result.written["RB_1"] > 0
    assert {node.name: node.counts["accepted"] for node in last.nodes}["drain"] == result.events


def test_displays_of_a_suite_are_live_plots_with_its_settings():
    plots = open_v1(WORKSPACE / "lifetime_setup.yaml").plots()
    try:
        assert [plot.label for plot in plots] == [
            "scope of RB_2",
            "histogram of RB_3.decay_time",
            "histogram of RB_3.1st_chA_h",
            "histogram of RB_3.2nd_chB_h",
        ]
        assert (plots[1].limits, plots[1].log, plots[2].log) == ((0.0, 15000.0), True, False)
        assert "channels" not in plots[0].problem
    finally:
        for plot in plots:
            plot.close()


def test_histograms_count_what_is_in_a_buffer():
    buffer = NewBuffer(8, 1, [("h", "f4")])
    (shown,) = histograms_of(buffer.ring, {"h": [0, 4, 4], "x": [0, 1, 2]})
    writer = Writer(buffer.new_writer())
    for height in (0.5, 2.5, 2.6):
        writer.get_new_buffer()["h"] = height
    writer.process_buffer()
    shown.look_now()
    assert shown.counts.counts.tolist() == [1, 0, 2, 0]
    shown.close()
    writer.close()
    buffer.shutdown()
    buffer.close()


CELL = """
import numpy as np
from labdaq.compat.mimocorb import mimo_buffer as bm
from labdaq.compat.mimocorb.plot_buffer import plot_buffer
buffer = bm.NewBuffer(4, 50, [("chA", "f4"), ("chB", "f4")])
writer = bm.Writer(buffer.new_writer())
writer.get_new_buffer()["chB"] = np.arange(50)
writer.process_buffer()
shown = plot_buffer(observe_list=[buffer.new_observer()], config_dict={"sample_time_ns": 8}, RB_1="observe")
buffer.finish()
try:
    shown()
except SystemExit:
    pass
"""


NOTEBOOK = """
import sys, nbformat
from nbclient import NotebookClient
notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(sys.stdin.read())])
NotebookClient(notebook, timeout=60, kernel_name="python3").execute()
for output in notebook.cells[0].outputs:
    print(output["output_type"], *sorted(output["data"]), output["data"]["text/plain"])
"""


def test_in_a_notebook_a_display_is_seen():
    done = subprocess.run([sys.executable, "-c", NOTEBOOK], input=CELL, capture_output=True, text=True, check=True)
    kind, widget, picture, *_, text = done.stdout.split(maxsplit=4)
    assert (kind, widget, picture) == ("display_data", "application/vnd.jupyter.widget-view+json", "image/png")
    assert "<scope of" in text
