"""Workers of mimoCoRB2 by hand: templates, and what it brings along, without a process."""

import csv
import logging
import pickle
import time

import numpy as np
import pytest

from labdaq.compat.mimocorb.aliases import MimocorbFinder
from labdaq.compat.mimocorb.mimo_buffer import NewBuffer
from labdaq.compat.mimocorb2 import Exporter, Filter, Importer, IsAlive, Observer, Processor, SetupError, UfuncError
from labdaq.compat.mimocorb2.functions import analyzers, data, exporters, misc, observers, visualizers
from labdaq.compat.mimocorb2.functions.importers import redpitaya
from labdaq.compat.mimocorb2.mimo_buffer import BufferObserver, BufferReader, BufferWriter
from labdaq.compat.mimocorb2.mimo_file import MimoReader, MimoWriter, mimoFile
from labdaq.compat.mimocorb2.mimo_worker import BufferIO, Config
from labdaq.errors import ClosedError, DataError, LayoutError, NotFoundError
from labdaq.files import read_csv

WAVE = [("A", "f8"), ("B", "f8")]


class Bench:
    """Buffers by name, and workers at them."""

    def __init__(self, folder):
        self.folder, self.buffers, self.groups, self.ios, self.shut = folder, {}, {}, [], []

    def buffer(self, name, dtype=WAVE, length=4, slots=16):
        self.buffers[name] = NewBuffer(slots, length, dtype)
        self.groups[name] = self.buffers[name].new_reader_group()  # one for all: they share the events
        return self.buffers[name]

    def io(self, sources=(), sinks=(), observes=(), name="worker", **config):
        io = BufferIO(
            name,
            [BufferReader(one, self.groups[one]) for one in sources],
            [BufferWriter(one, self.buffers[one].new_writer(), self.shut.append) for one in sinks],
            [BufferObserver(one, self.buffers[one].new_observer()) for one in observes],
            Config(config),
            self.folder,
            self.folder,
        )
        self.ios.append(io)
        return io

    def fill(self, name, *values):
        """Events with these values, counters from 10 on, at 1, 2, 3 s; nothing follows."""
        writer = self.io(sinks=[name]).write[0]
        for number, value in enumerate(values):
            with writer as (metadata, slot):
                slot[slot.dtype.names[0]] = value
                metadata[0] = 10 + number, 1.0 + number, 0.5
        self.buffers[name].finish()

    def take(self, name):
        """Counter and first value of all that is there."""
        self.buffers[name].finish()
        found = [(int(m["counter"][0]), d[d.dtype.names[0]][0].item()) for d, m in Exporter(self.io([name]))]
        assert self.buffers[name].unread(self.groups[name]) == 0
        return found

    def close(self):
        for io in self.ios:
            for reader in io.read:
                reader.leave(None, None, None)
        for buffer in self.buffers.values():
            buffer.abort()
            buffer.close()
        for held in (self.buffers, self.groups, self.ios):
            held.clear()


@pytest.fixture
def bench(tmp_path):
    bench = Bench(tmp_path)
    yield bench
    bench.close()


class TestImporter:
    def test_events_are_numbered_and_have_times(self, bench):
        bench.buffer("Out")
        importer = Importer(bench.io(sinks=["Out"]))
        before = time.time()

        def events():
            for number in range(3):
                event = importer.data_example.copy()
                event["A"] = number
                yield event
            yield None
            raise AssertionError("asked for more")

        importer(events)
        assert (importer.counter, bench.shut) == (3, ["Out"])
        reader = bench.io(["Out"]).read[0]
        bench.buffers["Out"].finish()
        for number in range(3):
            with reader as (metadata, event):
                assert (metadata["counter"][0], event["A"].tolist(), event["B"].tolist()) == (
                    number,
                    [number] * 4,
                    [0] * 4,
                )
                assert before <= metadata["timestamp"][0] <= time.time()
                assert 0 <= metadata["deadtime"][0] <= 1
        with reader as (metadata, event):
            assert metadata is event is None

    def test_a_generator_may_just_end_and_a_full_run_ends_it(self, bench):
        bench.buffer("Out").limit_events(2)
        closed = []

        def events():
            try:
                while True:
                    yield np.ones(4, WAVE)
            finally:
                closed.append(True)

        importer = Importer(bench.io(sinks=["Out"]))
        importer(events)
        assert (importer.counter, closed) == (2, [True])
        assert [one[0] for one in bench.take("Out")] == [0, 1]

    def test_paused_events_are_discarded_and_counted(self, bench):
        buffer = bench.buffer("Out")
        io = bench.io(sinks=["Out"])

        def events():
            for number in range(6):
                (buffer.pause if number in (2, 3) else buffer.resume)()
                yield np.full(4, number, WAVE)

        Importer(io)(events)
        assert buffer.events_discarded == io.write[0].get_stats()["paused_count"] == 2
        assert bench.take("Out") == [(0, 0), (1, 1), (4, 4), (5, 5)]

    def test_what_fails_is_told(self, bench):
        bench.buffer("Out")
        importer = Importer(bench.io(sinks=["Out"], name="source"))
        with pytest.raises(UfuncError, match=r"source: the generator of events failed .ZeroDivisionError"):
            importer(lambda: (1 / zero for zero in [0]))
        with pytest.raises(UfuncError, match="does not fit into 'Out'"):
            importer(lambda: iter([np.ones(3)]))
        with pytest.raises(UfuncError, match="a function is wanted, and not 3"):
            importer(3)
        assert bench.take("Out") == []


class TestTemplates:
    def test_each_takes_its_buffers_only(self, bench):
        bench.buffer("In")
        bench.buffer("Small", [("h", "f4")], 1)
        for template, told in (
            (Importer, "takes 0 sources, and was given 1"),
            (Filter, "takes at least 1 sinks, and was given 0"),
            (Observer, "takes 0 sources"),
            (IsAlive, "takes 0 sources"),
        ):
            with pytest.raises(SetupError, match=told):
                template(bench.io(["In"]))
        for template in (Filter, Exporter):
            with pytest.raises(SetupError, match="are others than those of 'Small'"):
                template(bench.io(["In"], ["Small"]))
        assert isinstance(SetupError(bench.io(), "x"), LayoutError)

    @pytest.mark.parametrize(
        ("answers", "first", "second"),
        [
            ([True, False, np.bool_(True)], [10, 12], [10, 12]),
            ([[True, False], [False, True], (np.bool_(False), 1)], [10], [11, 12]),
            ([None, np.array([True, True]), [False, False]], [11], [11]),
        ],
    )
    def test_filters_copy_or_drop_and_write_nothing_else(self, bench, answers, first, second):
        for name in ("In", "First", "Second"):
            bench.buffer(name)
        bench.fill("In", 1, 2, 3)
        replies = iter(answers)
        Filter(bench.io(["In"], ["First", "Second"]))(lambda event: next(replies))
        assert [one[0] for one in bench.take("First")] == first
        assert [one[0] for one in bench.take("Second")] == second
        assert sorted(bench.shut) == ["First", "Second"]

    def test_processors_write_what_was_found(self, bench):
        bench.buffer("In")
        bench.buffer("Waves")
        bench.buffer("Heights", [("h", "f4")], 1)
        bench.fill("In", 1, 2, 3, 4)

        def find(event):
            value = event["A"][0]
            event["A"] -= 1  # it is the worker's own
            return None if value == 2 else [event if value < 4 else None, np.array([(value,)], [("h", "f8")])]

        Processor(bench.io(["In"], ["Waves", "Heights"]))(find)
        assert bench.take("Waves") == [(10, 0), (12, 2)]
        assert bench.take("Heights") == [(10, 1), (12, 3), (13, 4)]

    @pytest.mark.parametrize(
        ("answer", "told"),
        [([1], "1 entries for 2 sinks"), (3, "not int"), ([np.ones(3, WAVE), None], "does not fit into 'One'")],
    )
    def test_impossible_answers_are_told_and_the_event_goes_to_another(self, bench, answer, told):
        for name in ("In", "One", "Two"):
            bench.buffer(name)
        bench.fill("In", 1, 2)
        io = bench.io(["In"], ["One", "Two"])
        with pytest.raises(UfuncError, match=told) as caught:
            Processor(io)(lambda event: answer)
        io.read[0].leave(type(caught.value), caught.value, None)
        misc.copy(bench.io(["In"], ["One"]))
        assert bench.take("One") == [(10, 1), (11, 2)]

    def test_exporters_hand_on_what_they_read(self, bench):
        bench.buffer("In")
        bench.buffer("Copy")
        bench.fill("In", 1, 2, 3)
        kept = [event for event, _ in Exporter(bench.io(["In"], ["Copy"]))]
        assert [one["A"][0] for one in kept] == [1, 2, 3]
        assert bench.take("Copy") == [(10, 1), (11, 2), (12, 3)]

    def test_readers_share_events_and_one_that_leaves_has_read_its_last(self, bench):
        bench.buffer("In")
        bench.fill("In", 1, 2, 3)
        for event, _ in Exporter(bench.io(["In"])):
            assert event["A"][0] == 1
            break
        assert bench.take("In") == [(11, 2), (12, 3)]

    def test_observers_take_nothing_away(self, bench):
        buffer = bench.buffer("In")
        bench.fill("In", 1, 2)
        generators = [Observer(bench.io(observes=["In"]))() for _ in range(2)]
        for generator in generators:
            event, metadata = next(generator)
            assert (event["A"][0], metadata["counter"].tolist()) == (2, [11])
            assert next(generator) == (None, None)
            assert next(generator, "over") == "over"
        assert buffer.unread(bench.groups["In"]) == 2

    def test_a_buffer_is_alive_until_it_takes_no_more(self, bench):
        bench.buffer("In")
        is_alive = IsAlive(bench.io(observes=["In"]))
        assert is_alive()
        io = bench.io(["In"], ["In"])
        io.write[0].shutdown_buffer()
        assert io.write[0].is_shutdown.value
        assert is_alive()  # others may write
        with pytest.raises(ClosedError, match="has shut the buffer 'In' down"), io.write[0]:
            pass
        io.read[0].shutdown_buffer()
        assert not is_alive()
        with pytest.raises(SystemExit), bench.io(sinks=["In"]).write[0]:
            pass
        visualizers.csv(bench.io(observes=["In"]))

    def test_an_event_that_failed_is_not_written(self, bench):
        bench.buffer("In")
        writer = bench.io(sinks=["In"]).write[0]
        with pytest.raises(ZeroDivisionError), writer as (_, slot):
            slot["A"] = 1 / 0
        with writer as (_, slot):
            assert slot["A"].tolist() == [0] * 4
            slot["A"] = 5
        assert bench.take("In") == [(0, 5)]

    def test_settings(self, bench):
        io = bench.io(level=3)
        assert (io["level"], io.get("gain"), "level" in str(io)) == (3, None, True)
        for kind in (NotFoundError, KeyError):
            with pytest.raises(kind, match="'worker' needs 'gain' in its config, which has level"):
                io["gain"]

    def test_drained(self, bench):
        bench.buffer("In")
        bench.fill("In", 1, 2, 3)
        Exporter(bench.io(["In"])).drain_sources()
        assert bench.take("In") == []


class TestFunctions:
    def peaks(self, bench, **config):
        bench.buffer("In", WAVE, 100)
        bench.buffer("Heights", [("position", "i4"), ("peak_heights", "f4")], 1)
        writer = bench.io(sinks=["In"]).write[0]
        for heights in ((5, 7), (), (9,)):
            with writer as (metadata, wave):
                for number, height in enumerate(heights):
                    wave["B"][20 + 30 * number] = height
                metadata["counter"] = len(heights)
        bench.buffers["In"].finish()
        analyzers.pha(bench.io(["In"], ["Heights"], channel="B", **config))

    def test_all_peaks_are_found(self, bench):
        self.peaks(bench, height=1)
        bench.buffers["Heights"].finish()
        found = [(m["counter"][0], *d[0].item()) for d, m in Exporter(bench.io(["Heights"]))]
        assert found == [(2, 20, 5), (2, 50, 7), (1, 20, 9)]

    def test_peaks_that_cannot_be_had(self, bench):
        with pytest.raises(SetupError, match="'peak_heights' of the sink needs the setting 'height'"):
            self.peaks(bench)
        with pytest.raises(SetupError, match="no channel 'C'; there are: A, B"):
            analyzers.pha(bench.io(["In"], ["Heights"], channel="C"))
        bench.buffer("Odd", [("size", "f4")], 1)
        with pytest.raises(SetupError, match="a field 'size'"):
            analyzers.pha(bench.io(["In"], ["Odd"]))
        with pytest.raises(SetupError, match="data_length 1"):
            analyzers.pha(bench.io(["In"], ["In"]))

    def test_tables_and_histograms(self, bench):
        for name in ("In", "Next"):
            bench.buffer(name, [("h", "f4"), ("n", "i2")], 1)
        bench.fill("In", 0.5, 2.5, 2.5, 9.0, 10.0, 11.0)
        exporters.histogram(bench.io(["In"], ["Next"], bins={"h": [0, 10, 5]}, update_interval=0))
        folder = bench.folder / "Histograms_In"
        assert np.load(folder / "h.npy").tolist() == [1, 2, 0, 0, 2]
        rows = list(csv.DictReader((folder / "info.csv").read_text().splitlines()))
        assert rows == [{"Channel": "h", "Min": "0.0", "Max": "10.0", "NBins": "5"}]
        assert (folder / "outside.csv").read_text().splitlines()[1] == "h,1"
        bench.buffers["Next"].finish()
        exporters.csv(bench.io(["Next"], save_interval=0, name="heights"))
        records = read_csv(bench.folder / "heights.csv").records
        assert records["counter"].tolist() == [10, 11, 12, 13, 14, 15]
        assert records["h"].tolist() == [0.5, 2.5, 2.5, 9.0, 10.0, 11.0]

    def test_what_cannot_be_counted(self, bench):
        bench.buffer("In", [("h", "f4")], 1)
        bench.buffer("Waves")
        bench.buffer("Twice", [("counter", "f4")], 1)
        for bins, told in (
            ({"x": [0, 1, 2]}, "there are: h"),
            ({"h": [1, 0, 2]}, "are wanted"),
            ({"h": [1]}, "wanted"),
        ):
            with pytest.raises(SetupError, match=told):
                exporters.histogram(bench.io(["In"], bins=bins))
        with pytest.raises(SetupError, match="of one value"):
            exporters.csv(bench.io(["Waves"]))
        with pytest.raises(SetupError, match="a column 'counter' of its own"):
            exporters.csv(bench.io(["Twice"]))

    def test_displays_are_silent(self, bench, capfd):
        bench.buffer("In")
        bench.fill("In", 1)
        observers.oscilloscope(bench.io(observes=["In"], channels=["B"]))
        visualizers.histogram(bench.io(observes=["In"]))
        exporters.drain(bench.io(["In"]))
        assert capfd.readouterr() == ("", "")
        with pytest.raises(SetupError, match="no channel 'C'"):
            observers.oscilloscope(bench.io(observes=["In"], channels=["C"]))

    def test_a_board_is_set_up_from_the_settings(self, bench):
        bench.buffer("Out", [("IN1", "i2"), ("IN2", "i2")], 100)
        bench.buffer("Other")
        config = {"ip": "none", "trigger_level": 5, "sample_rate": 4, "number_of_samples_before_trigger": 10}
        board = redpitaya._board(Importer(bench.io(sinks=["Out"], **config, trigger_mode="auto")))
        assert (board.shape, board.decimation, board.pretrigger, board.level, board.auto) == ((2, 100), 4, 0.1, 5, True)
        with pytest.raises(SetupError, match=r"cannot be set up so .*decimation=3"):
            redpitaya.waveform(bench.io(sinks=["Out"], **config | {"sample_rate": 3}))
        with pytest.raises(SetupError, match="the fields IN1 and IN2"):
            redpitaya.waveform(bench.io(sinks=["Other"], **config))


class TestFiles:
    def saved(self, bench, *values):
        bench.buffer("In")
        bench.fill("In", *values)
        data.export(bench.io(["In"]))
        return bench.folder / "In.mimo"

    @pytest.mark.parametrize(
        ("play", "config", "least_s"),
        [
            (data.clocked_importer, {"rate": 1000.0}, 0.003),
            (data.clocked_importer, {"rate": 1e6, "distribution": "poisson", "seed": 1}, 0.0),
            (data.simulate_importer, {}, 0.02),
        ],
    )
    def test_what_was_saved_is_played_back(self, bench, play, config, least_s):
        bench.buffer("Out")
        with MimoWriter(bench.folder / "In.mimo", WAVE, 4) as file:
            for number in range(3):
                file.write(np.full(4, number, WAVE), np.array([(number, 5 + number / 100, 0)], file.metadata_dtype))
        began = time.monotonic()
        play(bench.io(sinks=["Out"], filename="In.mimo", **config))
        assert time.monotonic() - began >= least_s
        assert bench.take("Out") == [(0, 0), (1, 1), (2, 2)]

    def test_times_that_know_nothing_of_each_other_have_the_rate(self, bench, monkeypatch):
        times = []
        monkeypatch.setattr(data, "_play", lambda io, due_s: times.extend(due_s(None) for _ in range(4000)))
        data.clocked_importer(bench.io(rate=50.0, distribution="poisson", seed=2))
        gaps = np.diff(times, prepend=0.0)
        assert gaps.mean() == pytest.approx(1 / 50, rel=0.05)
        assert gaps.std() == pytest.approx(1 / 50, rel=0.05)

    def test_metadata_are_kept(self, bench):
        with mimoFile.from_file(self.saved(bench, 7, 8)) as file:
            *events, end = file.read_data()
        assert [(event["A"][0], metadata[0].item()) for event, metadata in events] == [
            (7, (10, 1.0, 0.5)),
            (8, (11, 2.0, 0.5)),
        ]
        assert end == (None, None)

    def test_files_of_mimocorb2_are_read(self, bench, caplog):
        path = bench.folder / "theirs.mimo"
        dtype, metadata = np.dtype(WAVE), np.dtype([("counter", "i8"), ("timestamp", "f8"), ("deadtime", "f8")])
        header = {"version": 1, "header": "...", "data_dtype": dtype, "data_length": 2, "metadata_dtype": metadata}
        event = np.ones(2, dtype).tobytes() + np.array([(3, 4.0, 0.5)], metadata).tobytes()
        path.write_bytes(pickle.dumps(header | {"metadata_length": 1}) + event + event[:-1])
        with MimoReader(path) as file, caplog.at_level(logging.WARNING):
            ((event, found),) = list(file)
        assert (file.data_dtype, event["A"].tolist(), found["counter"].tolist()) == (dtype, [1, 1], [3])
        assert "its last 55 bytes are left out" in caplog.text

    def test_a_header_that_would_do_something_does_not(self, bench):
        done = bench.folder / "done"

        class Worm:
            def __reduce__(self):
                return (type(done).touch, (done,))

        path = bench.folder / "worm.mimo"
        for content in (pickle.dumps(Worm()), pickle.dumps([1]), b"", b"{}", b'{"data_dtype": "f4", "data_length": 0}'):
            path.write_bytes(content)
            with pytest.raises(DataError, match="has no header of a file of events"):
                MimoReader(path)
        assert not done.exists()
        with pytest.raises(NotFoundError, match=r"files of events there: worm.mimo"):
            MimoReader(bench.folder / "wurm.mimo")

    def test_what_does_not_fit_is_told(self, bench):
        self.saved(bench, 1)
        bench.buffer("Out", length=5)
        with pytest.raises(SetupError, match="has events of 4 values"):
            data.simulate_importer(bench.io(sinks=["Out"], filename="In.mimo"))
        for config in ({"rate": 0}, {"rate": 1, "distribution": "gaussian"}):
            with pytest.raises(SetupError, match="a positive rate"):
                data.clocked_importer(bench.io(sinks=["Out"], filename="In.mimo", **config))
        with MimoWriter(bench.folder / "x.mimo", WAVE, 4) as file, pytest.raises(LayoutError, match="4 values"):
            file.write(np.ones(3, WAVE), np.zeros(1, file.metadata_dtype))


def test_the_alias_finds_its_own_package_only():
    finder = MimocorbFinder("mimocorb2")
    assert finder.find_spec("mimocorb") is None
    assert finder.find_spec("mimocorb2.worker_templates") is not None
