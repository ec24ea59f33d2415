"""Epochs: the samples around triggers."""

import numpy as np
import pytest

from labdaq.errors import LayoutError
from labdaq.stream import AnalogTrigger, InputStream, OutputStream, TriggerAccumulator
from labdaq.stream.nodes.epochs import EpochCutter
from tests.stream.nodes.test_triggers import EXPECTED, RATE_HZ, bouncing
from tests.stream.victims import until


@pytest.mark.parametrize("rows", [100, 33])
def test_a_signal_its_triggers_and_their_epochs(rows):
    signal = bouncing()
    settings = {"protocol": "inproc", "shape": (-1, 6), "sample_rate": RATE_HZ, "units": "mV"}
    with OutputStream().configure(**settings) as out, AnalogTrigger() as trigger, TriggerAccumulator() as node:
        trigger.input.connect(out)
        trigger.configure(threshold=1.0)
        trigger.open_outputs(protocol="inproc")
        trigger.initialize()
        node.inputs["signals"].connect(out)
        node.inputs["events"].connect(trigger.output)
        node.configure(left_sweep=-0.2, right_sweep=0.5, stack_size=3)
        node.open_outputs(protocol="inproc")
        node.initialize()
        assert node.stack.shape == (0, 700, 6)
        with InputStream().connect(node.output) as inp:
            node.start()
            trigger.start()
            for begin in range(0, len(signal), rows):
                out.send(signal[begin : begin + rows])
            expected = EXPECTED["no-debounce"]
            records = [inp.recv(30)[1][0] for _ in expected]
            until(lambda: node.total_trig == 6)
            assert [record["trigger"] for record in records] == expected
            for record in records:
                begin = record["trigger"] - 200
                np.testing.assert_array_equal(record["samples"], signal[begin : begin + 700])
                assert record["missing"] == 0
            assert node.stack.shape == (3, 700, 6)
            assert node.triggers == expected[-3:]
            np.testing.assert_array_equal(node.stack[-1], records[-1]["samples"])
            assert (node.times_s[0], node.times_s[200], node.too_late) == (-0.2, 0.0, 0)
            node.reset_stack()
            assert (node.total_trig, len(node.stack)) == (0, 0)


def test_triggers_come_late_and_out_of_order():
    cutter = EpochCutter(-2, 3, 10)
    for begin in range(0, 40, 5):
        list(cutter.add_samples(begin + 5, np.arange(begin, begin + 5.0), 0))
    cutter.add_triggers([30, 5, 28])
    assert [(epoch.trigger, epoch.data.tolist()) for epoch in cutter.complete()] == [
        (28, [26, 27, 28, 29, 30]),
        (30, [28, 29, 30, 31, 32]),
    ]
    assert cutter.too_late == 1


def test_an_epoch_tells_what_it_misses():
    cutter = EpochCutter(-2, 3, 100)
    cutter.add_triggers([1, 5, 11])
    epochs = list(cutter.add_samples(4, np.ones(4), 0))
    epochs += cutter.add_samples(14, np.ones(7), 3)
    assert [(epoch.trigger, epoch.missing) for epoch in epochs] == [(1, 1), (5, 3), (11, 0)]
    assert [np.isnan(epoch.data).sum() for epoch in epochs] == [1, 3, 0]


def test_structured_events():
    event = np.dtype([("time", "<i8"), ("value", "<i4")])
    with OutputStream().configure(protocol="inproc", shape=(-1,)) as signals, TriggerAccumulator() as node:
        with OutputStream().configure(protocol="inproc", dtype=event, shape=(-1,)) as events:
            node.inputs["signals"].connect(signals)
            node.inputs["events"].connect(events)
            node.configure(left_sweep=0, right_sweep=2)
            with pytest.raises(LayoutError, match="name the field"):
                node.initialize()
            node.configure(left_sweep=0, right_sweep=2, field="time")
            node.initialize()
            node.start()
            events.send(np.array([(3, 7)], event))
            signals.send(np.arange(10, dtype="f4"))
            until(lambda: node.total_trig == 1)
            assert node.stack.tolist() == [[3, 4]]


def test_empty_epochs_are_refused():
    with pytest.raises(LayoutError):
        EpochCutter(3, 3, 10)
    with TriggerAccumulator() as node, pytest.raises(LayoutError):
        node.configure(left_sweep=1.0)
