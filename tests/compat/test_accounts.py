"""What becomes of the events of a suite: balances that close, also when a worker is killed; and its record."""

import numpy as np
import pytest

import labdaq
from labdaq.compat.mimocorb import buffer_control as bc
from labdaq.compat.mimocorb import mimo_buffer as bm
from labdaq.compat.mimocorb.accounts import Account
from labdaq.compat.mimocorb.suites import open_v1
from labdaq.compat.mimocorb2 import Importer
from labdaq.files import read_csv
from labdaq.pipeline import RunState
from labdaq.pipeline.workers.board import Board
from tests.compat.bench import WAVE
from tests.compat.writing import suite


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    """A suite, and its run of 60 events, in the middle of which a filter was killed."""
    file = suite(tmp_path_factory.mktemp("killed"), config="  every_second: {die_once_at: 30}\n", events=60)
    opened = open_v1(file)
    return opened, opened.run()


def test_another_takes_the_place_of_one_who_was_killed_and_nothing_is_lost(killed):
    _, result = killed
    assert (result.state, result.restarts, result.errors) == (RunState.ENDED, 1, ())
    assert {node.name: dict(vars(node)) for node in result.ledger.nodes if node.name == "every_second"} == {
        "every_second": {
            "name": "every_second", "role": "filter", "received": 60, "accepted": 30, "rejected": 30, "quarantined": 0,
            "repeated": 0, "discarded": 0, "undelivered": 0, "written": 30, "device_losses": {},
        }
    }  # fmt: skip
    assert result.ledger.is_closed
    assert sorted(read_csv(result.folder / "halves.txt").records["half"]) == list(range(30))


def test_each_worker_has_its_own_account(killed):
    _, result = killed
    states = [(one.name, one.state, one.exitcode) for one in result.workers]
    assert states == [
        ("source", "ended", 0),
        ("every_second", "killed", -9),
        ("every_second", "ended", 0),
        ("save", "ended", 0),
    ]
    counts = [one.counts["accepted"] + one.counts["rejected"] for one in result.workers]
    assert (counts[1], counts[2], counts[3]) == (30, 30, 30)


def test_a_run_is_a_scan_of_the_store_beside_the_suite(killed):
    opened, result = killed
    (listed,) = labdaq.runs(opened.store)
    assert (listed.name, listed.state, listed.events, listed.number) == ("small", "ended", 60, 1)
    assert opened.store.parent == opened.path.parent
    with labdaq.open_run(1, opened.store) as run:
        assert str(run.ledger) == str(result.ledger)
        assert run.folder == result.folder
        assert run.table("halves")["half"].sum() == sum(range(30))
        assert run.statistics["events"][-1] == 60
        assert run.info["configuration"]["workers"]["source"]["options"]["source"]["config"] == {"events": 60}
        assert "def every_second" in str(run.info["configuration"]["workers"]["every_second"])
        assert run.info["clock_end"]["utc_ns"] > run.info["clock_begin"]["utc_ns"]
        assert run.info["versions"]["labdaq"] == labdaq.__version__
        assert "by signal 9" in run.log
        assert {one.name for one in run.files if one.is_complete} >= {"halves.txt", "data_flow.svg", "small_setup.yaml"}
    assert "every_second" in (result.folder / "data_flow.svg").read_text()


def test_it_is_found_by_its_folder_where_the_suite_puts_it_also_after_a_move(killed, tmp_path):
    opened, result = killed
    with labdaq.open_run(result.folder) as run:
        assert (run.number, run.state) == (1, "ended")
    there = opened.path.parent.rename(tmp_path / "elsewhere")
    try:
        for which in (there / result.folder.relative_to(opened.path.parent), 1):
            with labdaq.open_run(which, there / "runs") as run:
                assert run.folder == there / result.folder.relative_to(opened.path.parent)
    finally:
        there.rename(opened.path.parent)


@pytest.fixture
def account(tmp_path):
    """A row of a board, and the account that is kept there."""
    board = Board.create(tmp_path / "board", 1)
    yield board.row(0), lambda passes_on: Account.opened(board.path, 0, passes_on)
    board.close()


@pytest.fixture
def buffer():
    buffer = bm.NewBuffer(8, 4, WAVE)
    yield buffer
    buffer.abort()
    buffer.close()


def write(buffer, count):
    writer = bm.Writer(buffer.new_writer())
    for _ in range(count):
        writer.get_new_buffer()
    writer.process_buffer()
    buffer.finish()


def test_an_event_is_accepted_when_something_was_written_while_it_was_at_hand(account, buffer):
    row, opened = account
    own, sink = {"account": opened(True)}, bm.NewBuffer(8, 4, WAVE)
    reader = bm.Reader(buffer.new_reader_group() | own)
    writer = bm.Writer(sink.new_writer() | own)
    write(buffer, 3)
    reader.get()
    reader.get()
    writer.get_new_buffer()
    reader.get()
    assert (row.counts()["accepted"], row.counts()["rejected"]) == (1, 1)
    writer.process_buffer()
    reader.__exit__(ValueError, None, None)  # the third goes to another
    assert sum(row.counts().values()) == 2
    sink.abort()
    sink.close()


class Dies(Exception):
    """What ends a process at a moment that a test has chosen."""


class Mortal(Account):
    """An account whose worker dies between the note that an event is done and its release."""

    dies = False

    def finished(self, *noted):
        super().finished(*noted)
        if self.dies:
            raise Dies


@pytest.fixture
def pair(buffer):
    """Two buffers with two events each, and the setups of those who read both."""
    other = bm.NewBuffer(8, 4, WAVE)
    setups = [one.new_reader_group() | {"place": (number, 2)} for number, one in enumerate((buffer, other))]
    write(buffer, 2)
    write(other, 2)
    yield setups
    other.abort()
    other.close()


def test_events_of_two_buffers_are_counted_once_also_when_one_who_reads_both_dies(tmp_path, pair):
    board = Board.create(tmp_path / "board", 2)
    mortal, heir = (Mortal.opened(board.path, number, False) for number in range(2))
    first, second = (bm.Reader(setup | {"account": mortal}) for setup in pair)
    first.get()
    second.get()
    second.close()
    mortal.dies = True
    with pytest.raises(Dies):
        first.get()
    first.__exit__(Dies, None, None)  # what it had at hand goes to another
    for setup, expected in zip(pair, (2, 1), strict=True):
        with bm.Reader(setup | {"account": heir}) as reader:
            for _ in range(expected):
                reader.get()
    assert [row.counts()["accepted"] for row in board.rows()] == [1, 3]
    board.close()


def test_what_is_written_is_for_all_that_is_at_hand(account, pair):
    row, opened = account
    own, sink = {"account": opened(True)}, bm.NewBuffer(8, 4, WAVE)
    writer = bm.Writer(sink.new_writer() | own)
    first, second = (bm.Reader(setup | own) for setup in pair)
    first.get()
    writer.get_new_buffer()
    second.get()
    first.get()
    second.get()
    assert (row.counts()["accepted"], row.counts()["rejected"]) == (1, 1)
    for one in (first, second, writer):
        one.close()
    assert (row.counts()["accepted"], row.counts()["rejected"]) == (1, 3)
    sink.abort()
    sink.close()


def test_who_writes_nothing_accepts_all_that_it_has_read(account, buffer):
    row, opened = account
    reader = bm.Reader(buffer.new_reader_group() | {"account": opened(False)})
    write(buffer, 5)
    assert len(reader.get_batch(3)) == 3
    assert len(reader.get_batch(3)) == 2
    reader.close()
    assert row.counts()["accepted"] == 5


def test_events_that_nobody_wants_are_counted(account, buffer):
    row, opened = account
    put = bc.rbPut([buffer.new_writer() | {"account": opened(True)}], {}, RB_1="write")
    event = (np.ones(4), np.ones(4))
    put(event, None)
    buffer.pause()
    put(event, None)
    buffer.set_ending()
    put(event, None)
    assert (put.event_count, buffer.events_discarded, row.counts()["discarded"]) == (1, 2, 2)


def test_an_event_that_came_when_the_run_had_enough_is_counted(bench):
    buffer = bench.buffer("Out")
    buffer.limit_events(2)
    importer = Importer(bench.io(sinks=["Out"]))
    importer(lambda: iter(np.ones((3, 4), WAVE)))
    assert (importer.counter, buffer.events_discarded) == (2, 1)
