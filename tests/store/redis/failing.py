"""A Redis server that is killed or stands still, and what tests of that need."""

import os
import signal
import threading
import time

import pytest

from labdaq.errors import (
    ResourceError,
)
from labdaq.store import DataStore, NumericStreamEncoder

__all__ = ["LATE_S", "PATIENCE_S", "Sending", "cli", "kill", "new_stream", "raises_in_time", "reconnected", "until"]

PATIENCE_S = 0.4
LATE_S = 20.0
"""So long a store waits for its server here, and so long a test waits for what has to come."""


def until(condition, patience=LATE_S):
    deadline = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.005)


def new_stream(store, encoder=None):
    scan = store.create_scan({"name": "muon", "number": 1, "data_policy": "none"})
    stream = scan.create_stream("s", encoder or NumericStreamEncoder(float))
    scan.prepare()
    return scan, stream


def kill(server):
    os.kill(server.pid, signal.SIGKILL)
    assert server.wait(LATE_S)


def cli(server, *command):
    with DataStore(server.url) as store:
        return store.engine._link.call(*command)


def raises_in_time(error, call, match=None):
    began = time.monotonic()
    with pytest.raises(error, match=match) as caught:
        call()
    assert time.monotonic() - began < PATIENCE_S + 1
    return caught.value


class Sending:
    """A thread that sends 0, 1, 2 … until it is told to end; it tries again what was refused."""

    def __init__(self, stream):
        self.stream, self.nsent, self.nrefused = stream, 0, 0
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self):
        while not self._ending.is_set():
            try:
                self.stream.send(float(self.nsent))
                self.nsent += 1
            except ResourceError:
                self.nrefused += 1
            time.sleep(0.0005)

    def wait(self, more):
        target = self.nsent + more
        until(lambda: self.nsent >= target)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *exception):
        self._ending.set()
        self._thread.join()


def reconnected(store, times):
    return store.engine.statistics().reconnects >= times
