"""Templates of mimoCoRB2 by hand: what they read, write and refuse."""

import time

import numpy as np
import pytest

from labdaq.compat.mimocorb.aliases import MimocorbFinder
from labdaq.compat.mimocorb2 import Exporter, Filter, Importer, IsAlive, Observer, Processor, SetupError, UfuncError
from labdaq.compat.mimocorb2.functions import misc, visualizers
from labdaq.errors import ClosedError, LayoutError, NotFoundError
from tests.compat.bench import WAVE


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


def test_the_alias_finds_its_own_package_only():
    finder = MimocorbFinder("mimocorb2")
    assert finder.find_spec("mimocorb") is None
    assert finder.find_spec("mimocorb2.worker_templates") is not None
