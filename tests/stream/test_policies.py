"""What becomes of chunks that a reader is too slow for, and whether the counts of both ends agree."""

import threading

import numpy as np
import pytest

from labdaq.errors import BusyError, EndOfDataError, WaitTimeoutError
from labdaq.stream import InputStream, OutputStream

WAYS = [("inproc", "plaindata"), ("ipc", "plaindata"), ("tcp", "plaindata"), ("tcp", "sharedmem")]
ROWS = 10


@pytest.fixture(params=WAYS, ids="-".join)
def way(request):
    """Room for four chunks."""
    protocol, mode = request.param
    return {
        "protocol": protocol,
        "transfermode": mode,
        "dtype": "i8",
        "shape": (ROWS,),
        "window": 4,
        "buffer_size": 4 * ROWS,
    }


def chunk(number):
    return np.full(ROWS, number)


def rest(inp):
    """The numbers of all chunks up to the end."""
    return [int(data[0]) for _, data in inp]


def check_balance(out, inp):
    """Every chunk has one fate, and both ends tell the same."""
    sent, got = out.statistics(), inp.statistics()
    (reader,) = sent.readers
    assert reader.offered == reader.delivered + reader.dropped + reader.lost + reader.waiting
    assert got.received + got.missed == sent.sent == reader.offered
    assert got.samples + got.missed_samples == sent.samples == sent.index


def test_drop_newest_keeps_what_is_on_its_way(way):
    with OutputStream().configure(**way, policy="drop_newest") as out, InputStream().connect(out) as inp:
        for number in range(20):
            out.send(chunk(number))
        (reader,) = out.statistics().readers
        assert (reader.offered, reader.dropped, reader.waiting) == (20, 16, 4)
        out.close()
        assert rest(inp) == [0, 1, 2, 3]
        check_balance(out, inp)
        assert inp.statistics().missed == 16


def test_drop_oldest_keeps_the_newest(way):
    with OutputStream().configure(**way, policy="drop_oldest") as out, InputStream().connect(out) as inp:
        for number in range(20):
            out.send(chunk(number))
        out.close()
        numbers = rest(inp)
        assert numbers == sorted(set(numbers))
        assert numbers[-1] == 19
        assert 2 <= len(numbers) <= 4
        check_balance(out, inp)


def test_error_refuses_and_loses_nothing(way):
    with OutputStream().configure(**way, policy="error") as out, InputStream().connect(out) as inp:
        for number in range(4):
            out.send(chunk(number))
        with pytest.raises(BusyError, match="read faster"):
            out.send(chunk(4))
        assert [inp.recv(30)[1][0] for _ in range(4)] == [0, 1, 2, 3]
        with pytest.raises(WaitTimeoutError):
            inp.recv(0.05)  # an idle reader tells what it has
        out.drain(30)
        assert out.send(chunk(4)) == 5 * ROWS
        assert inp.recv(30)[1][0] == 4
        assert out.statistics().refused == 1
        check_balance(out, inp)


def test_block_waits_in_time_and_loses_nothing(way):
    with OutputStream().configure(**way, policy="block") as out, InputStream().connect(out) as inp:
        for number in range(4):
            out.send(chunk(number))
        with pytest.raises(WaitTimeoutError, match="nothing was sent"):
            out.send(chunk(4), timeout=0.05)
        numbers = []
        thread = threading.Thread(target=lambda: numbers.extend(rest(inp)))
        thread.start()
        for number in range(4, 300):
            out.send(chunk(number), timeout=30)
        out.drain(30)
        (reader,) = out.statistics().readers
        assert (reader.delivered, reader.dropped, reader.lost) == (300, 0, 0)
        out.close()
        thread.join(30)
        assert numbers == list(range(300))
        check_balance(out, inp)


@pytest.mark.parametrize("policy", ["drop_oldest", "drop_newest"])
def test_a_flood_is_accounted_for(way, policy):
    with OutputStream().configure(**way, policy=policy) as out, InputStream().connect(out) as inp:
        seen = []

        def read():
            for _, data in inp:
                assert (data == data[0]).all()
                seen.append(int(data[0]))

        thread = threading.Thread(target=read)
        thread.start()
        for number in range(2000):
            out.send(chunk(number))
        out.drain(30)
        (reader,) = out.statistics().readers
        out.close()
        thread.join(30)
        assert seen == sorted(set(seen))
        assert inp.statistics().received == len(seen) == reader.delivered
        assert reader.dropped == inp.statistics().missed
        check_balance(out, inp)


def test_what_was_not_read_is_lost_and_said_so(way):
    with OutputStream().configure(**way) as out:
        with InputStream().connect(out) as inp:
            out.send(chunk(0))
            out.send(chunk(1))
            inp.recv(30)
        out.wait_for_readers(0)
        while (reader := out.statistics().readers[0]).connected:
            out.send(chunk(2), timeout=30)
        assert reader.delivered == 1
        assert reader.lost >= 1
        assert reader.offered == reader.delivered + reader.lost


def test_readers_are_waited_for():
    with OutputStream().configure(protocol="inproc", dtype="i8") as out:
        with pytest.raises(WaitTimeoutError, match="0 of 1 readers"):
            out.wait_for_readers(1, timeout=0.02)
        with InputStream().connect(out) as inp:
            out.wait_for_readers(1, timeout=30)
            out.close()
            with pytest.raises(EndOfDataError):
                inp.recv(30)
