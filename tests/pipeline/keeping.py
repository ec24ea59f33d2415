"""Runs that are kept, for tests of what can be done with them; as a program, one that goes on until it is killed."""

import sys
import time

import numpy as np

from labdaq.pipeline import Pipeline
from labdaq.roles import Parameter

PULSE = np.dtype([("height", "f4"), ("delay", "f8"), ("is_muon", "?")])
HEADER = {"unit": "V", "channels": ["A", "B"], "sample_interval_ns": 4.0}


def waveforms(events=40):
    return np.random.default_rng(1).normal(size=(events, 2, 50)).astype("f4")


class Detector:
    """Gives waveforms with times 2 ms apart and every third number; changes its own level at half time."""

    level = Parameter(30.0, unit="mV")
    dtype, shape, header = np.dtype("f4"), (2, 50), HEADER

    def __init__(self, events=40, is_endless=False):
        self.data, self.at, self.is_endless = waveforms(events), 0, is_endless

    def acquire(self, event):
        if self.at == len(self.data) and not self.is_endless:
            from labdaq.errors import EndOfDataError

            raise EndOfDataError("no more")
        event.data[...] = self.data[self.at % len(self.data)]
        event.counter, event.timestamp_ns = 3 * self.at, 10**18 + 2_000_000 * self.at
        event.deadtime = self.at / 1000
        self.at += 1
        if self.at == len(self.data) // 2:
            self.level = 35.0
        if self.is_endless and self.at > len(self.data):
            time.sleep(0.001)  # as a detector does, so that the disk is not filled


def pulse_of(event):
    """Every event is a pulse but those of an even number."""
    if event.counter % 2 == 0:
        return None
    found = np.zeros((), PULSE)
    found["height"], found["delay"] = event.data.max(), event.counter / 3
    found["is_muon"] = event.counter % 9 == 0
    return found


def declared(store, source, files=("pulses.csv",), name="muon", more=None):
    """A pipeline: waveforms to the store, pulses to files."""
    daq = Pipeline(name, store=store)
    raw = daq.ring("raw", "f4", (2, 50), capacity=64)
    pulses = daq.ring("pulses", PULSE, capacity=64, header={"units": {"height": "V"}})
    daq.source(source, raw, name="detector")
    daq.filter(pulse_of, raw, pulses, name="find")
    daq.sink("store", raw)
    for file in files:
        daq.sink(file, pulses)
    if more is not None:
        more(daq)
    return daq


def taken(store, files=("pulses.csv",), name="muon", comment="", more=None, events=40):
    """A whole run."""
    with declared(store, Detector(events), files, name, more) as daq:
        return daq.run(comment=comment)


if __name__ == "__main__":
    declared(sys.argv[1], Detector(is_endless=True), ("pulses.csv", "pulses.parquet", "pulses.h5")).run()
