"""Rings to streams and back."""

import numpy as np
import pytest

from labdaq.errors import LayoutError, WaitTimeoutError
from labdaq.ring import Ring
from labdaq.stream import InputStream, OutputStream, publish, subscribe


def test_events_keep_their_times_and_gaps():
    with Ring(dtype="f4", shape=(4,), capacity=8) as ring:
        with publish(ring, "published", units="mV") as sender, InputStream().connect(sender.address) as inp:
            with ring.writer() as writer:
                writer.put(np.zeros(4, "f4"), timestamp_ns=5)
                with writer.reserve(1):
                    pass
                writer.reserve().void()
                writer.put(np.ones(4, "f4"), timestamp_ns=7)
            assert inp.recv(30)[0] == 1
            assert inp.last.timestamp_ns == 5
            inp.recv(30)
            index, data = inp.recv(30)
            assert (index, data.tolist()) == (4, [[1, 1, 1, 1]])
            assert (inp.last.timestamp_ns, inp.missed_before, inp.parameters.units) == (7, 1, "mV")
            with pytest.raises(WaitTimeoutError):
                sender.wait(0.01)


def test_a_full_ring_holds_the_sender_and_the_end_is_passed_on():
    with Ring(dtype="i8", shape=(), capacity=4) as ring, OutputStream().configure(dtype="i8", window=4) as out:
        group = ring.group("all")
        with subscribe(out, ring) as subscriber:
            for number in range(8):
                out.send(np.array([number]), timeout=30)
            reader = group.reader()
            seen = [(event.counter, int(event.data)) for event in (reader.read(30) for _ in range(8))]
            assert seen == [(number, number) for number in range(8)]
            out.close()
            subscriber.wait(30)
            assert list(reader) == []


def test_rings_of_bytes_and_of_other_things():
    with Ring() as ring, OutputStream().configure(dtype="f4", shape=(-1, 3)) as out:
        for bridge in (lambda: publish(ring), lambda: subscribe(out, ring)):
            with pytest.raises(LayoutError, match="holds bytes"):
                bridge()
    with Ring(dtype="f8", shape=(3,), capacity=4) as ring, OutputStream().configure(dtype="f4", shape=(-1, 3)) as out:
        with pytest.raises(LayoutError, match="was expected"):
            subscribe(out, ring)
