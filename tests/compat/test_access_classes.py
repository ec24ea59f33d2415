"""The classes of buffer_control: what functions of users are made of."""

import logging
import tarfile
import threading
import time

import numpy as np
import pytest

from labdaq.compat.mimocorb import buffer_control as bc
from labdaq.compat.mimocorb import mimo_buffer as bm
from labdaq.errors import LayoutError
from labdaq.files import read_csv, read_parquet_tar

DTYPE = [("chA", "f8"), ("chB", "f8")]
SCALAR = [("height", "f4"), ("position", "i4")]


@pytest.fixture
def buffers():
    made = []

    def make(dtype, values=4, slots=8):
        made.append(bm.NewBuffer(slots, values, dtype))
        return made[-1]

    yield make
    for buffer in made:
        buffer.abort()
        buffer.close()


def fill(buffer, *values):
    """Events with these values, counters from 10 on, at 1, 2, 3 s; nothing follows."""
    writer = bm.Writer(buffer.new_writer())
    for number, value in enumerate(values):
        slot = writer.get_new_buffer()
        slot[slot.dtype.names[0]] = value
        slot[slot.dtype.names[1]] = 2 * value
        writer.set_metadata(10 + number, 1.0 + number, 0.5)
    writer.process_buffer()
    writer.close()
    buffer.finish()


def take(setup, field="chA"):
    reader, found = bm.Reader(setup), []
    try:
        while True:
            value = reader.get()[field][0].item()
            found.append((reader.get_metadata()[0], value))
    except SystemExit:
        return found
    finally:
        reader.close()


def to_the_end(call):
    with pytest.raises(SystemExit):
        call()


class TestSources:
    def test_a_generator_is_asked_until_it_has_no_more(self, buffers):
        buffer = buffers(DTYPE)
        setup = buffer.new_reader_group()
        closed = []

        def events():
            try:
                yield ([1, 1, 1, 1], np.full(4, 2)), None
                yield (np.full(4, 3), [4, 4, 4, 4]), (77, 1.75e9, 0.125)
                yield None, None
            finally:
                closed.append(True)

        source = bc.rbImport([buffer.new_writer()], {}, events, RB_1="write")
        before = time.time()
        source()
        assert closed == [True]
        assert source.event_count == 2
        buffer.finish()
        reader = bm.Reader(setup)
        assert reader.get()["chB"].tolist() == [2] * 4
        counter, stamp, dead = reader.get_metadata()
        assert counter == 1
        assert before <= stamp <= time.time()
        assert 0 <= dead <= 1
        assert reader.get()["chA"].tolist() == [3] * 4
        assert reader.get_metadata() == (77, 1.75e9, 0.125)
        reader.close()

    def test_each_event_can_be_read_at_once(self, buffers):
        buffer = buffers(DTYPE)
        reader = bm.Reader(buffer.new_reader_group())
        seen = []

        def events():
            for number in range(3):
                yield (np.full(4, number), np.zeros(4)), None
                seen.append(reader.get()["chA"][0])  # would block for ever if it came with the next only

        bc.rbImport([buffer.new_writer()], None, events, RB_1="write")()
        assert seen == [0, 1, 2]
        reader.close()

    def test_paused_it_does_not_ask(self, buffers):
        buffer = buffers(DTYPE)
        setup = buffer.new_reader_group()
        buffer.pause()
        asked = threading.Event()

        def events():
            asked.set()
            yield (np.ones(4), np.ones(4)), None

        thread = threading.Thread(target=bc.rbImport([buffer.new_writer()], None, events, RB_1="write"))
        thread.start()
        assert not asked.wait(0.1)
        buffer.resume()
        thread.join(5)
        buffer.finish()
        assert take(setup) == [(1, 1.0)]

    def test_events_may_be_put(self, buffers):
        buffer = buffers(DTYPE)
        setup = buffer.new_reader_group()
        put = bc.rbPut([buffer.new_writer()], {}, RB_1="write")
        assert put((np.ones(4), np.ones(4)), None) is True
        buffer.pause()
        assert put((np.full(4, 9), np.ones(4)), None) is True  # v1 says here that it wants no more
        buffer.resume()
        assert put((np.full(4, 2), np.ones(4)), (5, 6.0, 0.0)) is True
        put(None, None)
        buffer.finish()
        assert put((np.ones(4), np.ones(4)), None) is False
        assert take(setup) == [(1, 1.0), (5, 2.0)]
        assert put.event_count == 2

    def test_plain_numbers(self, buffers):
        buffer = buffers("i4")
        setup = buffer.new_reader_group()
        bc.rbImport([buffer.new_writer()], None, lambda: iter([([[1, 2, 3, 4]], None)]), RB_1="write")()
        buffer.finish()
        reader = bm.Reader(setup)
        assert reader.get().tolist() == [1, 2, 3, 4]
        reader.close()

    def test_what_is_no_source_is_told(self, buffers):
        buffer = buffers(DTYPE)
        with pytest.raises(LayoutError, match="ufunc=None"):
            bc.rbImport([buffer.new_writer()], {}, None, RB_1="write")
        with pytest.raises(LayoutError, match="2 channels, and data for 1"):
            bc.rbImport([buffer.new_writer()], {}, lambda: iter([([1], None)]), RB_1="write")()
        with pytest.raises(LayoutError, match="needs a buffer to write"):
            bc.rbImport(None, {}, iter, RB_1="read")
        with pytest.raises(LayoutError, match="RB_2"):
            bc.rbPut([buffer.new_writer()], {}, RB_1="write", RB_2="observe")


class TestFilters:
    def run(self, buffers, kind, answers, sinks=2):
        source, outs = (
            buffers(DTYPE),
            [buffers(dtype) for dtype in (DTYPE, [("chA", "f4"), ("n", "i4")], DTYPE)[:sinks]],
        )
        groups = [out.new_reader_group() for out in outs]
        reading = source.new_reader_group()
        fill(source, *range(len(answers)))
        replies = iter(answers)
        call = kind([reading], [out.new_writer() for out in outs], {}, lambda data: next(replies), RB_1="read")
        to_the_end(call)
        for out in outs:
            out.finish()
        return [take(group) for group in groups]

    def test_transfer_drops_copies_and_writes(self, buffers):
        record = np.array([(7.0, 3)] * 4, [("chA", "f8"), ("n", "i8")])
        part = np.full(4, 8, [("chA", "f4")])
        answers = [None, 1, [record], [None, part], (part, None), np.zeros(3), []]
        first, second = self.run(buffers, bc.rbTransfer, answers)
        assert first == [(11, 1.0), (12, 2.0), (14, 8.0), (15, 5.0), (16, 6.0)]
        assert second == [(12, 7.0), (13, 8.0)]

    def test_transfer_to_three_sinks(self, buffers):
        part = np.full(4, 8, [("chA", "f4")])
        assert self.run(buffers, bc.rbTransfer, [[part], [None, part]], 3) == [
            [(10, 0.0), (11, 1.0)],
            [(10, 8.0)],
            [(11, 8.0)],
        ]

    def test_fields_that_are_not_given_are_zero(self, buffers):
        source, sink = buffers(DTYPE), buffers([("n", "i4"), ("chA", "f8")], slots=1)
        group, reading = sink.new_reader_group(), source.new_reader_group()
        writer = bm.Writer(sink.new_writer())
        writer.get_new_buffer()["n"] = 5
        writer.process_buffer()
        old = bm.Reader(group)
        assert old.get()["n"].tolist() == [5] * 4
        old.close()
        fill(source, 1.0)
        part = np.array([2.0], [("chA", "f8")])
        to_the_end(bc.rbTransfer([reading], [sink.new_writer()], {}, lambda data: [part], RB_1="read"))
        new = bm.Reader(group)
        assert new.get().tolist() == [(0, 2.0)] * 4
        new.close()

    def test_process_makes_any_number_of_events(self, buffers):
        part = np.full(4, 8, [("chA", "f4")])
        answers = [None, [True, None], [None, part], [[part, None, part], True], [part, [part]]]
        first, second = self.run(buffers, bc.rbProcess, answers[:3] + answers[4:])
        assert first == [(11, 1.0), (13, 8.0)]
        assert second == [(12, 8.0), (13, 8.0)]
        (only,) = self.run(buffers, bc.rbProcess, [[[part, None, part]]], 1)
        assert only == [(10, 8.0), (10, 8.0)]

    @pytest.mark.parametrize(
        ("kind", "answer", "told"),
        [
            (bc.rbProcess, [True], "1 entries for 2 sinks"),
            (bc.rbProcess, 1, "'int' for 2 sinks"),
            (bc.rbTransfer, [None, None, None], "3 arrays for 2 sinks"),
            (bc.rbTransfer, [np.zeros(4, [("x", "f8")]), None], "no field of name x"),
            (bc.rbTransfer, [np.zeros(3, [("chA", "f8")]), None], "does not fit"),
        ],
    )
    def test_what_does_not_fit_is_told(self, buffers, kind, answer, told):
        with pytest.raises(LayoutError, match=told):
            self.run(buffers, kind, [answer])

    def test_an_event_whose_filter_fails_goes_to_another_member(self, buffers):
        source, sink = buffers(DTYPE), buffers(DTYPE)
        reading, out = source.new_reader_group(), sink.new_reader_group()
        fill(source, 1, 2)
        sinks = [sink.new_writer()]
        with pytest.raises(ZeroDivisionError):
            bc.rbTransfer([reading], sinks, {}, lambda data: 1 / 0, RB_1="read")()
        to_the_end(bc.rbTransfer([reading], sinks, {}, lambda data: 1, RB_1="read"))
        sink.finish()
        assert take(out) == [(10, 1.0), (11, 2.0)]

    def test_what_is_no_filter_is_told(self, buffers):
        buffer = buffers(DTYPE)
        for kind in (bc.rbTransfer, bc.rbProcess):
            with pytest.raises(LayoutError, match="ufunc=3"):
                kind([buffer.new_reader_group()], [buffer.new_writer()], {}, 3)
            with pytest.raises(LayoutError, match="others to write"):
                kind([buffer.new_reader_group()], None, {}, len, RB_1="read")


class TestExporters:
    def test_export_is_a_generator(self, buffers):
        buffer = buffers(DTYPE)
        export = bc.rbExport([buffer.new_reader_group()], {}, RB_1="read")
        fill(buffer, 1, 2, 3)
        data, metadata = next(export())  # a generator for each event, as in v1's own programs
        assert (data["chA"][0], metadata.tolist()) == (1, [10, 1, 0.5])
        rest = list(export())
        assert [one[1][0] for one in rest[:-1]] == [11, 12]
        assert rest[-1] is None
        assert next(export()) is None

    def test_drain_reads_all(self, buffers, tmp_path):
        buffer = buffers(DTYPE)
        drain = bc.rbDrain([buffer.new_reader_group()], {"directory_prefix": str(tmp_path)}, RB_1="read")
        fill(buffer, *range(8))
        to_the_end(drain)
        assert buffer.statistics().frames_read == 8
        assert (tmp_path / "message.txt").exists()
        with pytest.raises(LayoutError, match="'directory_prefix'"):
            bc.rbDrain([buffer.new_reader_group()], {}, RB_1="read")

    def test_observers_get_copies_and_then_none(self, buffers, caplog):
        buffer = buffers(DTYPE)
        setup = buffer.new_observer()
        with caplog.at_level(logging.WARNING):
            observers = [bc.rbObserver([setup], None, RB_1="observe", RB_2="read")]
        assert "ignores the others" in caplog.text
        observers.append(bc.rbWSObserver([setup], {"min_sleeptime": 0.01}, RB_1="observe"))
        fill(buffer, 1, 2)
        for observer in observers:
            event, end = list(observer())
            assert (event[0]["chA"][0], event[1][0][0], end) == (2, 11, None)
            observer.close()


class TestSavers:
    def test_table_of_text(self, buffers, tmp_path):
        buffer = buffers(SCALAR, values=1)
        config = {
            "directory_prefix": f"{tmp_path}/",
            "filename": "pulses",
            "header_alias": {"height": "h [mV]", "x": "y"},
        }
        save = bc.rb_toTxtfile([buffer.new_reader_group()], config, RB_1="read")
        header = "counter\ttimestamp\tdeadtime\th [mV]\tposition\n"
        assert (tmp_path / "pulses.txt").read_text() == header
        fill(buffer, 0.3, 1)
        to_the_end(save)
        assert (tmp_path / "pulses.txt").read_text() == header + "10\t1.0\t0.5\t0.3\t0\n11\t2.0\t0.5\t1.0\t2\n"
        assert read_csv(tmp_path / "pulses.txt").records["counter"].tolist() == [10, 11]
        with pytest.raises(LayoutError, match="events of one value"):
            bc.rb_toTxtfile([buffers(SCALAR).new_reader_group()], config, RB_1="read")
        with pytest.raises(LayoutError, match="'counter' of its own"):
            bc.rb_toTxtfile([buffers([("counter", "i8")], values=1).new_reader_group()], config, RB_1="read")
        with pytest.raises(LayoutError, match="'filename' in its configuration, which has directory_prefix"):
            bc.rb_toTxtfile([buffer.new_reader_group()], {"directory_prefix": "."}, RB_1="read")

    def test_archive_of_parquet_files(self, buffers, tmp_path):
        buffer = buffers(DTYPE)
        config = {"directory_prefix": str(tmp_path), "filename": "waveforms"}
        save = bc.rb_toParquetfile([buffer.new_reader_group()], config, RB_1="read")
        fill(buffer, 1, 2)
        to_the_end(save)
        events = list(read_parquet_tar(tmp_path / "waveforms.tar"))
        assert [(event.counter, event.records["chB"].tolist()) for event in events] == [(10, [2] * 4), (11, [4] * 4)]
        with tarfile.open(tmp_path / "waveforms.tar") as archive:
            assert archive.getnames() == ["waveforms_10.parquet", "waveforms_11.parquet"]

    def test_an_archive_without_events_is_one(self, buffers, tmp_path):
        buffer = buffers(DTYPE)
        config = {"directory_prefix": str(tmp_path), "filename": "none"}
        save = bc.rb_toParquetfile([buffer.new_reader_group()], config, RB_1="read")
        buffer.finish()
        to_the_end(save)
        assert tarfile.is_tarfile(tmp_path / "none.tar")
