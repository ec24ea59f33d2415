"""A sender that was killed and is started again is heard within two seconds.

They run from the moment when the peer is there again (it says so by the clock that all processes of a
machine share) to the moment when a sample of it is in the reader's hands. They are a bound, not a measurement: without
a load it takes a fifth of that.
"""

import collections
import itertools
import time
from contextlib import contextmanager

import numpy as np
import pytest

from labdaq.errors import WaitTimeoutError
from labdaq.stream import InputStream, OutputStream
from tests.stream.test_faults import free_port
from tests.stream.victims import SPAWN, kill, process

MOST_S = 2.0


def send_and_say_when(pipe, settings):
    """Send for ever, after saying when the port was open."""
    with OutputStream().configure(**settings, dtype="i8", shape=(10,)) as out:
        pipe.send(time.monotonic())
        number = 0
        while True:
            try:
                out.send(np.full(10, number), timeout=0.1)
                number += 1
            except WaitTimeoutError:
                pass
            time.sleep(0.01)


@contextmanager
def sender(settings):
    """A sender in a process of its own, and when it was there."""
    here, there = SPAWN.Pipe()
    with here, there, process(send_and_say_when, there, settings) as child:
        assert here.poll(60), "no sender"
        yield child, here.recv()


def heard_at(inp):
    """Wait for a chunk; when it came."""
    inp.recv(60)
    return time.monotonic()


@pytest.mark.parametrize("mode", ["plaindata", "sharedmem"])
def test_a_sender_that_was_killed_and_started_again(mode):
    settings = {"transfermode": mode, "port": free_port()}
    with InputStream() as inp:
        with sender(settings) as (child, _):
            inp.connect(f"tcp://127.0.0.1:{settings['port']}", timeout=60)
            heard_at(inp)
            kill(child)
        with pytest.raises(WaitTimeoutError, match="has not answered"):
            collections.deque((inp.recv(2.5) for _ in itertools.count()), maxlen=0)
        assert not inp.connected
        with sender(settings) as (_, there_at):
            assert heard_at(inp) - there_at <= MOST_S
            kinds = [event.kind for event in inp.events if event.kind != "resumed"]
            assert kinds == ["connected", "lost", "restarted"]
            assert inp.statistics().restarts == 1


def test_a_sender_that_was_killed_and_started_again_before_anybody_noticed():
    settings = {"port": free_port()}
    with InputStream() as inp:
        with sender(settings) as (child, _):
            inp.connect(f"tcp://127.0.0.1:{settings['port']}", timeout=60)
            heard_at(inp)
            kill(child)
        with sender(settings) as (_, there_at):
            while not inp.statistics().restarts:  # the last chunks of the first one may still come
                heard = heard_at(inp)
            assert heard - there_at <= MOST_S
