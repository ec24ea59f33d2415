"""A stream between two machines, with keys, on an address that is no loopback; the cable is pulled out and put back."""

import contextlib
import sys
import time

import numpy as np
import pytest

from labdaq.errors import EndOfDataError, LayoutError, WaitTimeoutError
from labdaq.stream import InputStream, OutputStream, StreamKeys
from tests.stream.machines import two_machines
from tests.stream.victims import until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="network namespaces are Linux's")
MOST_S = 2.0


class Station:
    """Sends ten numbers a hundred times a second."""

    def __init__(self):
        self.out = OutputStream()
        self.is_sending = False

    def open(self, interface, keys, allowed):
        self.out.configure(interface=interface, keys=keys, allowed=allowed, dtype="i8", shape=(10,))
        self.is_sending = True
        return self.out.address

    def work(self):
        if self.is_sending:
            with contextlib.suppress(WaitTimeoutError):  # nothing was sent, and the next chunk has the same numbers
                self.out.send(np.arange(10) + self.out.index, timeout=0)

    def statistics(self):
        return self.out.statistics()

    def end(self):
        self.is_sending = False
        self.out.drain(30)
        self.out.close()
        return self.out.statistics()

    def close(self):
        self.out.close()


class Home:
    """Reads, and looks whether each sample is what its number says."""

    def __init__(self):
        self.inp = InputStream()
        self.has_ended = False
        self.heard_at = self.resumed_at = 0.0

    def connect(self, address, keys, server, timeout=30.0):
        self.inp.connect(address, keys=keys, server=server, timeout=timeout)

    def work(self):
        if not self.inp.is_open or self.has_ended:
            return
        try:
            index, data = self.inp.recv(0.01)
        except WaitTimeoutError:
            return
        except EndOfDataError:
            self.has_ended = True
            return
        now = time.monotonic()
        if now - self.heard_at > 1.0:
            self.resumed_at = now
        self.heard_at = now
        if data.tolist() != list(range(index - 10, index)):
            raise AssertionError(f"samples {data} up to number {index}")

    def state(self):
        return self.inp.statistics(), [event.kind for event in self.inp.events], self.has_ended, self.resumed_at

    def close(self):
        self.inp.close()


@pytest.mark.parametrize("pulled", ["at home", "at the station"])
def test_the_cable_is_pulled_out_and_put_back(pulled):
    ours, theirs = StreamKeys.new(), StreamKeys.new()
    with two_machines(Station, Home) as (station, home):
        with pytest.raises(LayoutError, match="can be reached from other machines"):
            station.ask("open", station.address, None, ())
        address = station.ask("open", station.address, ours, (theirs.public,))
        assert address.startswith("tcp://10.77.0.1:")
        with pytest.raises(WaitTimeoutError):
            home.ask("connect", address, StreamKeys.new(), ours.public, 0.3)
        home.ask("connect", address, theirs, ours.public)
        until(lambda: home.ask("state")[0].received > 20)

        machine = home if pulled == "at home" else station
        machine.plug("down")
        until(lambda: home.ask("state")[1][-1] == "lost")
        until(lambda: not any(one.connected for one in station.ask("statistics").readers))
        before = home.ask("state")[0].received
        there_at = time.monotonic()
        machine.plug("up")
        until(lambda: home.ask("state")[0].received > before)
        assert 0 < home.ask("state")[3] - there_at <= MOST_S

        sent = station.ask("end")
        until(lambda: home.ask("state")[2])
        got, events, _, _ = home.ask("state")
        assert events == ["connected", "lost", "resumed", "ended"]
        (reader,) = sent.readers
        assert reader.lost > 0
        assert sent.turned_away >= 1
        assert reader.offered == reader.delivered + reader.dropped + reader.lost
        assert (got.received, got.missed) == (reader.delivered, reader.dropped + reader.lost)
        assert got.samples + got.missed_samples == 10 * reader.offered
