"""Buffers as v1 has them: its own unit test, its conventions, and none of its defects."""

import logging
import multiprocessing
import os
import pickle
import signal
import threading
import time

import numpy as np
import pytest

from labdaq.compat.mimocorb import mimo_buffer as bm
from labdaq.compat.mimocorb.flags import Flag, Flags
from labdaq.errors import ClosedError, LayoutError
from tests.compat import rb_unittest

METHODS = [m for m in ("spawn", "fork") if m in multiprocessing.get_all_start_methods()]


@pytest.fixture
def buffer():
    buffer = bm.NewBuffer(8, 2, [("chA", "f8"), ("chB", "i4")])
    yield buffer
    buffer.close()


@pytest.fixture
def start_method():
    before = multiprocessing.get_start_method(allow_none=True)
    yield lambda method: multiprocessing.set_start_method(method, force=True)
    multiprocessing.set_start_method(before, force=True)


def write(writer, *values):
    for value in values:
        slot = writer.get_new_buffer()
        slot["chA"][:] = value
        writer.process_buffer()


def test_the_unit_test_of_v1_runs_with_no_change_but_its_import(start_method):
    start_method(METHODS[-1])  # by fork where that is possible, which is quicker
    assert rb_unittest.run_control() == 500500


def test_an_event_is_handed_over_by_the_next_one_or_at_once(buffer):
    writer, reader = bm.Writer(buffer.new_writer()), bm.Reader(buffer.new_reader_group())
    writer.get_new_buffer()["chA"][:] = 1
    assert not reader.data_available()
    writer.get_new_buffer()["chA"][:] = 2
    assert reader.data_available()
    assert reader.get()["chA"].tolist() == [1, 1]
    assert not reader.data_available()
    writer.process_buffer()
    writer.process_buffer()
    data = reader.get()
    assert data["chA"].tolist() == [2, 2]
    with pytest.raises(ValueError, match="read-only"):
        data["chA"] = 0
    reader.close()


def test_metadata_are_numbers_seconds_and_fractions(buffer):
    writer, reader = bm.Writer(buffer.new_writer()), bm.Reader(buffer.new_reader_group())
    assert reader.get_metadata() == (0, -1, -1)
    writer.set_metadata(1, 2, 3)  # no event yet: nothing happens
    before = time.time()
    write(writer, 0, 0)
    stamps = np.nextafter(1.75e9, 2e9) + np.random.default_rng(1).random(5)
    for number, stamp in enumerate(stamps):
        writer.get_new_buffer()
        writer.set_metadata(np.float64(10 + number), stamp, 0.25)
    writer.process_buffer()
    found = []
    for _ in range(7):
        reader.get()
        found.append(tuple(reader.get_metadata()))
    assert [one[0] for one in found] == [0, 1, *range(10, 15)]
    assert before <= found[0][1] <= found[1][1] <= time.time()
    assert [one[1] for one in found[2:]] == stamps.tolist()  # exactly: no digit is lost
    assert [one[2] for one in found] == [-1, -1] + 5 * [0.25]
    assert reader.get_metadata().counter == 14
    reader.close()


def test_wrong_metadata_are_told_and_nobody_gets_the_event(buffer):
    writer, reader = bm.Writer(buffer.new_writer()), bm.Reader(buffer.new_reader_group())
    for wrong in ((1, float("nan"), 0), (1, -5.0, 0), (-3, 1.0, 0)):
        writer.get_new_buffer()
        writer.set_metadata(*wrong)
        with pytest.raises(LayoutError):
            writer.process_buffer()
    write(writer, 4)
    assert reader.get()["chA"][0] == 4
    reader.close()


def test_every_group_sees_every_event_and_writers_wait_for_all(buffer):
    groups = [bm.Reader(buffer.new_reader_group()) for _ in range(2)]
    setup = buffer.new_writer()
    thread = threading.Thread(target=lambda: write(bm.Writer(setup), *range(20)))
    thread.start()
    first = [int(groups[0].get()["chA"][0]) for _ in range(8)]
    assert first == list(range(8))
    assert buffer.statistics().frames_written <= 8
    assert [int(groups[1].get()["chA"][0]) for _ in range(8)] == first
    rest = [int(groups[n % 2].get()["chA"][0]) for n in range(24)]
    thread.join()
    assert rest[::2] == rest[1::2] == list(range(8, 20))
    for reader in groups:
        reader.close()


def test_the_end_is_a_system_exit_after_the_last_event(buffer):
    writer, reader = bm.Writer(buffer.new_writer()), bm.Reader(buffer.new_reader_group())
    late = buffer.new_writer()
    write(writer, 1, 2)
    buffer.set_ending()
    with pytest.raises(SystemExit):
        writer.get_new_buffer()
    assert reader.get()["chA"][0] == 1
    buffer.finish()
    assert reader.get()["chA"][0] == 2
    with pytest.raises(SystemExit):
        reader.get()
    with pytest.raises(SystemExit):
        bm.Writer(late).get_new_buffer()
    buffer.shutdown()
    with pytest.raises(SystemExit):
        reader.get()
    assert not reader._active.is_set()


def test_shutdown_waits_for_readers_that_poll(buffer):
    reader, seen = bm.Reader(buffer.new_reader_group()), []

    def poll():
        while reader._active.is_set():
            if reader.data_available():
                seen.append(int(reader.get()["chA"][0]))
            else:
                time.sleep(0.001)

    thread = threading.Thread(target=poll)
    write(bm.Writer(buffer.new_writer()), *range(8))
    thread.start()
    buffer.shutdown()
    thread.join()
    assert seen == list(range(8))


def test_shutdown_ends_when_nobody_reads(buffer, caplog):
    setup = buffer.new_reader_group()
    write(bm.Writer(buffer.new_writer()), 1, 2, 3)
    assert buffer.unread(setup) == 3
    with caplog.at_level(logging.WARNING):
        buffer.shutdown(patience=0.05)
    assert "3 events were left behind" in caplog.text
    buffer.dismiss(setup)
    assert buffer.unread(setup) == 0


def test_what_a_forgotten_reader_had_counts_as_read(buffer, caplog):
    setup = buffer.new_reader_group()
    write(bm.Writer(buffer.new_writer()), 1, 2)

    def read_both():
        reader = bm.Reader(setup)
        return [int(reader.get()["chA"][0]) for _ in range(2)]

    assert read_both() == [1, 2]
    with caplog.at_level(logging.WARNING):
        buffer.shutdown(patience=0.5)
    assert not caplog.records


def test_any_number_of_observers_see_the_newest_event(buffer):
    writer = bm.Writer(buffer.new_writer())
    observers = [bm.Observer(buffer.new_observer()) for _ in range(3)]
    for last in (5, 9):
        write(writer, *range(last + 1))  # without a reader group nobody blocks
        for observer in observers:
            data, metadata = observer.get()
            assert data["chA"].tolist() == [last, last]
            assert (metadata.shape, metadata.dtype.names) == ((1,), ("counter", "timestamp", "deadtime"))
    data["chA"] = 0  # a copy, which belongs to the observer
    buffer.shutdown()
    assert [observer.dataQ.get() for observer in observers] == [None, None, None]


def test_status_counts_events_slots_rate_and_dead_time(buffer):
    writer, reader = bm.Writer(buffer.new_writer()), bm.Reader(buffer.new_reader_group())
    for dead in (0.5, 0.25, -1):
        writer.get_new_buffer()
        writer.set_metadata(1, 1, dead)
    writer.process_buffer()
    events, filled, rate, dead = buffer.buffer_status()
    assert (events, filled, dead) == (3, 3, 0.25)
    assert rate > 0
    assert buffer.buffer_status()[2:] == (0, 0)
    reader.close()


def test_pause_is_a_switch_that_sources_look_at(buffer):
    setup = buffer.new_writer()
    buffer.pause()
    assert setup["paused"].is_set()
    assert setup["paused"].wait(0)
    buffer.resume()
    assert not setup["paused"].wait(0.01)


def test_a_limit_is_kept_by_all_writers_together(buffer):
    buffer.limit_events(3)
    writers = [bm.Writer(buffer.new_writer()) for _ in range(2)]
    for number in range(3):
        write(writers[number % 2], number)
    for writer in writers:
        with pytest.raises(SystemExit):
            write(writer, 3)
    assert buffer.statistics().frames_written == 3


def test_setups_are_dictionaries_that_can_go_anywhere(buffer):
    setup = buffer.new_reader_group()
    assert (setup["number_of_slots"], setup["values_per_slot"], setup["dtype"][0]) == (8, 2, ("chA", "f8"))
    copies = pickle.loads(pickle.dumps([setup, buffer.new_writer()]))
    text = pickle.dumps(setup["flags"])
    write(bm.Writer(copies[1]), 3)
    reader = bm.Reader(copies[0])
    assert reader.get()["chA"][0] == 3
    buffer.pause()
    assert copies[0]["paused"].is_set()
    reader.close()
    copies[0]["ring"].close()
    buffer.close()
    with pytest.raises(ClosedError, match="gone"):
        pickle.loads(text)


def test_flags_are_counted_by_all(buffer):
    flags = buffer.new_writer()["flags"]
    Flags(flags.name).add(5, 2)
    flags.add(5, 3)
    assert Flag(flags, 5).is_set()
    assert flags[5] == 5


def hold(setup, connection):
    reader = bm.Reader(setup)
    connection.send(int(reader.get()["chA"][0]))
    time.sleep(60)


@pytest.mark.skipif("fork" not in METHODS, reason="to be quick")
def test_a_killed_reader_stalls_nobody(buffer):
    setup = buffer.new_reader_group()
    write(bm.Writer(buffer.new_writer()), *range(8))
    here, there = multiprocessing.Pipe()
    victim = multiprocessing.get_context("fork").Process(target=hold, args=(setup, there))
    victim.start()
    assert here.recv() == 0
    os.kill(victim.pid, signal.SIGKILL)
    victim.join()
    victim.close()
    here.close()
    there.close()
    reader = bm.Reader(setup)
    assert sorted(int(reader.get()["chA"][0]) for _ in range(8)) == list(range(8))
    reader.close()


def test_plain_numbers_without_fields():
    buffer = bm.NewBuffer(2, 3, np.int32, debug=True)
    writer, reader = bm.Writer(buffer.new_writer()), bm.Reader(buffer.new_reader_group())
    writer.get_new_buffer()[:] = 7
    writer.process_buffer()
    assert (reader.get().tolist(), reader.dtype) == ([7, 7, 7], np.int32)
    reader.close()
    writer.close()
    buffer.shutdown()
    buffer.close()


def test_what_is_forgotten_leaves_nothing_behind():
    buffer = bm.NewBuffer(2, 1, "f8")
    reader, writer = bm.Reader(buffer.new_reader_group()), bm.Writer(buffer.new_writer())
    writer.get_new_buffer()
    assert reader.number_of_slots == 2
