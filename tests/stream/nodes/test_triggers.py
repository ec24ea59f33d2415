"""Triggers: the numbers that pyacq finds, however the samples were sent."""

import contextlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labdaq.errors import EndOfDataError, LayoutError
from labdaq.stream import AnalogTrigger, DigitalTrigger, InputStream, OutputStream
from labdaq.stream.nodes.crossings import DEBOUNCE_MODES, Condition, Crossings

RATE_HZ = 1000.0
EXPECTED = {
    "no-debounce": [1001, 2001, 3001, 3015, 3025, 4001],
    "after-stable": [1001, 2001, 3025, 4001],
    "before-stable": [1001, 2001, 3001, 4001],
}


def bouncing(seconds=5):
    """The signal of pyacq's tests: pulses of 0.4 s after each second, every third one bounces twice."""
    times = np.arange(int(RATE_HZ * seconds)) / RATE_HZ
    signal = np.zeros((len(times), 6), "f4")
    for second in range(1, seconds):
        signal[(times > second) & (times < second + 0.4), 0] = 2
        if second % 3 == 0:
            signal[(times > second + 0.01) & (times < second + 0.015), 0] = 0
            signal[(times > second + 0.02) & (times < second + 0.025), 0] = 0
    return signal


def triggers_of(node, out, chunks, count, **settings):
    """What a trigger sends when the chunks were sent."""
    found = []
    node.input.connect(out)
    prepare(node, settings)
    with InputStream().connect(node.output) as inp:
        node.start()
        for chunk in chunks:
            out.send(chunk)
        while len(found) < count:
            index, numbers = inp.recv(30)
            found += numbers.tolist()
            assert index == len(found)
        out.drain(30)
        node.stop()
        assert not inp.poll()
    return found


@pytest.mark.parametrize("mode", DEBOUNCE_MODES)
@pytest.mark.parametrize("rows", [100, 7])
def test_the_numbers_of_pyacq(mode, rows):
    signal = bouncing()
    settings = {"threshold": 1.0, "front": "+", "debounce_mode": mode, "debounce_time": 0.1}
    with OutputStream().configure(protocol="inproc", shape=(-1, 6), sample_rate=RATE_HZ) as out:
        with AnalogTrigger() as node:
            chunks = [signal[begin : begin + rows] for begin in range(0, len(signal), rows)]
            assert triggers_of(node, out, chunks, len(EXPECTED[mode]), **settings) == EXPECTED[mode]


def defined(signal, condition):
    """The definition, sample by sample."""
    threshold, front, mode, length = condition
    sign = 1 if front == "+" else -1
    level = sign * (signal.astype(float) - threshold)
    found = []
    for place in range(1, len(signal)):
        if not (level[place - 1] <= 0 < level[place]):
            continue
        begin, end = {"no-debounce": (0, 1), "after-stable": (0, length), "before-stable": (length, 2 * length)}[mode]
        if place + max(end, 1) > len(signal) or (level[place + begin : place + end] < 0).any():
            continue
        if mode == "before-stable" and (level[max(0, place - length) : place] > 0).any():
            continue
        found.append(place)
    return found


@given(
    signal=st.lists(st.integers(0, 4), min_size=1, max_size=60),
    cuts=st.lists(st.integers(1, 10), min_size=1, max_size=8),
    condition=st.builds(
        Condition,
        st.sampled_from([1.5, 2.0]),
        st.sampled_from("+-"),
        st.sampled_from(DEBOUNCE_MODES),
        st.integers(0, 4),
    ),
)
def test_chunks_make_no_difference(signal, cuts, condition):
    signal = np.array(signal, "u1")
    crossings, found, begin, number = Crossings(condition), [], 0, 0
    while begin < len(signal):
        chunk = signal[begin : begin + cuts[number % len(cuts)]]
        begin, number = begin + len(chunk), number + 1
        found += crossings.add(begin, chunk, 0).tolist()
    assert found == defined(signal, condition)


def test_nothing_is_known_of_a_gap():
    crossings = Crossings(Condition(1.0, "+", "after-stable", 3))
    assert crossings.add(4, np.array([0, 0, 2, 2]), 0).tolist() == []
    assert crossings.add(14, np.array([2, 2, 2, 2]), 6).tolist() == []
    assert crossings.undecided == 1
    assert crossings.add(20, np.array([0, 2, 2, 2, 2, 2]), 0).tolist() == [15]


def test_what_is_no_number_is_on_no_side():
    crossings = Crossings(Condition(1.0))
    assert crossings.add(5, np.array([0, np.nan, 2, 0, 2]), 0).tolist() == [4]


@pytest.mark.parametrize(("dtype", "columns", "line"), [("u1", 2, 11), ("<u4", 1, 19), (">i2", 1, 15), ("?", 12, 11)])
def test_one_line_of_many(dtype, columns, line):
    lines = np.zeros((30, 32), bool)
    lines[:, :line] = np.random.default_rng(3).random((30, line)) > 0.5
    lines[[4, 5, 20], line] = True
    if dtype == "?":
        data = lines[:, :columns]
    else:
        data = np.packbits(lines, axis=1, bitorder="little").view(np.dtype(dtype).newbyteorder("<"))[:, :columns]
        data = data.astype(dtype)
    for front, expected in (("+", [4, 20]), ("-", [6, 21])):
        with OutputStream().configure(protocol="inproc", dtype=dtype, shape=(-1, columns)) as out:
            with DigitalTrigger() as node:
                chunks = [data[:5], data[5:]]
                assert triggers_of(node, out, chunks, 2, channel=line, front=front, debounce_time=0) == expected


def test_the_time_of_a_trigger_is_that_of_its_sample():
    with OutputStream().configure(protocol="inproc", sample_rate=RATE_HZ) as out, AnalogTrigger() as node:
        node.input.connect(out)
        node.configure(threshold=1.0)
        node.open_outputs(protocol="inproc")
        node.initialize()
        with InputStream().connect(node.output) as inp:
            node.start()
            out.send(np.array([0, 0, 2, 2, 2, 2], "f4"), timestamp_ns=10**18)
            assert inp.recv(30)[1].tolist() == [2]
            assert inp.last.timestamp_ns == 10**18 - 3_000_000


def heard(inp):
    """The next chunk, of a successor if there is one."""
    while True:
        with contextlib.suppress(EndOfDataError):
            return inp.recv(30)


def test_a_sender_that_begins_anew_is_followed():
    with OutputStream().configure(protocol="inproc") as out, AnalogTrigger() as node:
        node.input.connect(out)
        node.configure(threshold=1.0)
        node.open_outputs(protocol="inproc")
        node.initialize()
        with InputStream().connect(node.output) as inp:
            node.start()
            for life in range(3):
                out.send(np.array([0, 2, 2, 0, 2], "f4"))
                index, numbers = heard(inp)
                assert (index, numbers.tolist(), inp.statistics().restarts) == (2, [1, 4], life)
                out.restart()


def prepare(node, settings):
    node.configure(**settings)
    node.open_outputs(protocol="inproc")
    node.initialize()


@pytest.mark.parametrize(
    ("node", "stream", "settings"),
    [
        (AnalogTrigger, {"shape": (-1, 2)}, {"channel": 2}),
        (AnalogTrigger, {"dtype": "M8[s]"}, {}),
        (AnalogTrigger, {}, {"front": "up"}),
        (AnalogTrigger, {}, {"debounce_mode": "often"}),
        (AnalogTrigger, {}, {"debounce_time": -1}),
        (DigitalTrigger, {"dtype": "f4", "shape": (-1, 2)}, {}),
        (DigitalTrigger, {"dtype": "u1", "shape": (-1, 2)}, {"channel": 16}),
    ],
)
def test_what_cannot_be_triggered_on(node, stream, settings):
    with OutputStream().configure(protocol="inproc", **stream) as out, node() as trigger:
        trigger.input.connect(out)
        with pytest.raises(LayoutError):
            prepare(trigger, settings)
