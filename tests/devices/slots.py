"""What a pipeline does with a source, in short."""

import threading
from types import SimpleNamespace

import numpy as np

PATIENCE = 30.0  # seconds; nothing that works takes so long, whatever else the machine does


def slot(source):
    return SimpleNamespace(data=np.zeros(source.shape, source.dtype), counter=None, timestamp_ns=None, deadtime=None)


def acquired(source):
    event = slot(source)
    source.acquire(event)
    return event


class Waiting:
    """A thread that waits in acquire, until the end of the block; `error` is what ended it."""

    def __init__(self, source):
        self.source, self.error, self.started = source, None, threading.Event()

    def _run(self):
        self.started.set()
        try:
            while True:
                self.source.acquire(slot(self.source))
        except Exception as error:  # noqa: BLE001  # the test looks at it
            self.error = error

    def __enter__(self):
        self.thread = threading.Thread(target=self._run)
        self.thread.start()
        assert self.started.wait(PATIENCE)
        return self

    def __exit__(self, *_):
        self.thread.join(PATIENCE)
        assert not self.thread.is_alive()
