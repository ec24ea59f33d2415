"""What runs in other processes, to be killed and stopped there."""

import multiprocessing
import os
import signal
import time
from contextlib import contextmanager

import numpy as np

from labdaq.errors import WaitTimeoutError
from labdaq.stream import InputStream, OutputStream

__all__ = ["kill", "process", "read_for_ever", "send_for_ever", "until"]

SPAWN = multiprocessing.get_context("spawn")


@contextmanager
def process(function, *arguments):
    """A child that does not outlive the block."""
    child = SPAWN.Process(target=function, args=arguments)
    child.start()
    try:
        yield child
    finally:
        if child.is_alive():
            os.kill(child.pid, signal.SIGCONT)
            child.kill()
        child.join()
        child.close()


def kill(child):
    """No time to tidy up."""
    child.kill()
    child.join()


def until(condition, seconds=60.0):
    """Wait for something that has to happen."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)


def read_for_ever(address):
    """Read until somebody ends it."""
    with InputStream().connect(address, timeout=60) as inp:
        for _ in inp:
            pass


def send_for_ever(settings, port):
    """Send ten numbers a hundred times a second; say nothing at the end, there is none."""
    out = OutputStream().configure(**settings, port=port, dtype="i8", shape=(10,))
    number = 0
    while True:
        try:
            out.send(np.full(10, number), timeout=0.1)
            number += 1
        except WaitTimeoutError:
            pass
        time.sleep(0.01)
