"""Compiled filters: their parameters, what cannot be compiled, and one loop for all kinds of records."""

import functools

import numpy as np
import pytest

from labdaq import Parameter
from labdaq.errors import LayoutError
from labdaq.pipeline import Pipeline, RunState
from labdaq.pipeline.workers import compiled_steps
from tests.pipeline.making import LONG_S, Numbers, Seen, chain, values


def made(run_in):
    """A filter with three parameters, and these."""
    level, copies, inverted = Parameter(5.0, unit="mV"), Parameter(2, low=0, high=2), Parameter(value=False)

    def find(data, out):
        if (data[0] > level.value) == inverted.value:
            return 0
        for part in range(copies.value):
            out[part, :] = data + level.value
        return copies.value

    return find, (level, copies, inverted)


@pytest.mark.parametrize("run_in", ["threads", "compiled"])
def test_parameters_mean_the_same_in_threads_and_compiled(run_in):
    find, (level, copies, inverted) = made(run_in)
    with Pipeline("parameters", store=None) as daq:
        seen = chain(daq, find, run_in=run_in, most=2, source=values(10))
        assert set(daq.parameters) == {"find.level", "find.copies", "find.inverted"}
        daq.run()
        assert seen.values == [value + 5 for value in (6.0, 7.0, 8.0, 9.0) for _ in range(2)]
        seen.values.clear()
        level.set(1.0)
        copies.set(1)
        inverted.set(True)
        daq.run()
        assert seen.values == [1.0, 2.0]


def test_a_change_holds_from_the_recorded_event_on_for_each_worker():
    level = Parameter(-1.0)

    def marked(data, out):
        out[0] = data
        out[0][1] = level
        return 1

    marks = []

    class Marks(Seen):
        def write(self, events) -> None:
            marks.extend(events.data[:, 1].tolist())
            super().write(events)

    with Pipeline("border", store=None) as daq:
        seen = chain(daq, marked, run_in="compiled", source=Numbers(), sink=Marks())
        run = daq.start()
        seen.changed.wait(LONG_S)
        level.set(7.0)
        while not run.parameters:
            seen.changed.clear()
            assert seen.changed.wait(LONG_S)
        while seen.counters[-1] <= run.parameters[0][-1]:
            seen.changed.clear()
            assert seen.changed.wait(LONG_S)
        daq.stop()
        assert daq.wait(LONG_S).ledger.is_closed
    (node, name, value, border), *more = run.parameters
    assert (node, name, value, more) == ("find", "level", 7.0, [])
    assert marks == [-1.0 if counter < border else 7.0 for counter in seen.counters]
    assert {-1.0, 7.0} == set(marks)


def test_what_cannot_be_compiled_fails_the_run_with_one_line():
    word = Parameter("low", choices=("low", "high"))
    level = Parameter(1.0)

    def deeper(data):
        return data[0] > level.value

    cases = {
        "nothing": lambda data, out: data.nothing,
        "text": lambda data, out: 1 if word.value == "low" else 0,
        "calls": lambda data, out: 1 if deeper(data) else 0,
    }
    for told, function in cases.items():
        with Pipeline("refused", store=None) as daq:
            chain(daq, function, run_in="compiled")
            result = daq.run(events=3)
        assert result.state == RunState.FAILED
        assert told in result.reason
        assert "\n" not in result.reason


def test_the_loop_is_the_same_for_all_records():
    compiled_steps.warm()
    versions = len(compiled_steps.run_slice.signatures)
    for dtype, shape in (("f4", (3, 5)), (np.dtype([("a", "i2"), ("b", "f8")]), ())):
        with Pipeline("kinds", store=None) as daq:
            raw, found = daq.ring("raw", dtype, shape), daq.ring("found", "i4")
            daq.source([np.ones(shape, dtype)] * 5, raw)
            daq.filter(_one, raw, found, run_in="compiled")
            seen = daq.sink(Seen(), found)
            daq.run()
        assert seen.values == [1.0] * 5
    assert len(compiled_steps.run_slice.signatures) == versions == 1


def _one(data, out):
    out[0] = 1
    return 1


LIMIT = 2.0


def above(data, out):
    if data[0] <= LIMIT:
        return 0
    out[0, :] = data + SHIFT[0]
    return 1


SHIFT = np.array([10.0])


def test_what_a_filter_names_is_what_it_is_when_a_run_begins(monkeypatch):
    with Pipeline("again", store=None) as daq:
        seen = chain(daq, above, run_in="compiled", source=values(5))
        daq.run()
        assert seen.values == [13.0, 14.0]
        seen.values.clear()
        monkeypatch.setattr(f"{__name__}.LIMIT", 3.0)
        SHIFT[0] = 20.0
        daq.run()
        assert seen.values == [24.0]


def beyond(data, out):
    out[int(data[0]), 0] = 1.0
    return 1


@pytest.mark.parametrize("run_in", ["threads", "compiled"])
def test_an_index_beyond_the_room_is_an_error_everywhere(run_in):
    with Pipeline("beyond", store=None) as daq:
        chain(daq, beyond, run_in=run_in, source=values(3))
        result = daq.run()
    assert (result.ledger["find"].accepted, result.ledger["find"].quarantined) == (1, 2)
    assert "IndexError" in result.errors[0]


class Finder:
    def __call__(self, data, out):
        return 0

    def find(self, data, out):
        return 0


@pytest.mark.parametrize("function", [Finder(), Finder().find, functools.partial(beyond)])
def test_what_is_no_plain_function_is_refused_when_it_is_wired(function):
    with Pipeline("refused", store=None) as daq:
        with pytest.raises(LayoutError, match="plain function"):
            chain(daq, function, run_in="compiled")
