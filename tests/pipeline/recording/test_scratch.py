"""Folders of runs that are not kept: none is left, not even by a run that was killed."""

import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from typer.testing import CliRunner

from labdaq.cli import app
from labdaq.pipeline.recording.notes import checked_note, notes_in, write_note
from labdaq.pipeline.recording.scratch import scratch_folder, scratch_leftovers
from tests.pipeline.making import Numbers, Seen, chain

ROOT = Path(__file__).parents[3]
PROGRAM = """
from labdaq.pipeline import Pipeline
from tests.pipeline.making import chain
with Pipeline("victim", store=None) as daq:
    chain(daq, lambda event: True, sink=lambda event: print("event", flush=True))
    daq.run()
"""


@pytest.fixture(autouse=True)
def own_place(tmp_path, monkeypatch):
    """A folder for temporary files, of this test and its children alone."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_the_next_run_removes_what_a_killed_one_left(own_place):
    from labdaq.pipeline import Pipeline

    with subprocess.Popen([sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, text=True, cwd=ROOT) as program:
        assert program.stdout.readline() == "event\n"
        (left,) = own_place.glob("labdaq-run-*")
        assert scratch_leftovers() == []  # it lives
        program.send_signal(signal.SIGKILL)
    assert (left / "board").is_file()
    assert scratch_leftovers() == [left]
    assert str(left) in CliRunner().invoke(app, ["doctor"]).output
    with Pipeline("next", store=None) as daq:
        chain(daq, lambda event: True, source=Numbers(10), sink=Seen())
        daq.run()
    assert list(own_place.glob("labdaq-run-*")) == []


def test_what_is_not_known_to_be_left_stays(own_place):
    mine = scratch_folder()
    kept = [mine, own_place / "labdaq-run-other", own_place / "labdaq-run-1-999999999-5-x"]  # another place
    for path in kept[1:]:
        path.mkdir()
    assert scratch_leftovers() == []
    scratch_folder().rmdir()
    assert all(path.is_dir() for path in kept)


def test_notes_are_lines_and_what_is_none_is_passed_over(own_place):
    assert notes_in(own_place) == []
    note = checked_note(" two\nlines ")
    write_note(own_place, note)
    with (own_place / "notes.txt").open("a") as file:
        file.write("no time of a note\n2026-")
    (read,) = notes_in(own_place)
    assert (str(read), read.text) == (str(note), "two lines")
