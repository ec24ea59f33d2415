"""One body for all transports: what is sent arrives, whatever it is and however it travels."""

import threading
from functools import partial

import numpy as np
import pytest

from labdaq.errors import EndOfDataError, LayoutError, WaitTimeoutError
from labdaq.stream import InputStream, OutputStream
from tests.stream.victims import until

WAYS = [(protocol, mode) for protocol in ("inproc", "ipc", "tcp") for mode in ("plaindata", "sharedmem")]
EVENT = np.dtype([("time", "<u8"), ("value", "<i4"), ("xy", "<f4", (2,))])
KINDS = {
    "analog": ("f4", (16,)),
    "one channel": ("f8", ()),
    "big endian": (">i2", (3,)),
    "digital": ("?", (8,)),
    "complex": ("c8", (2,)),
    "video": ("u1", (4, 6, 3)),
    "events": (EVENT, ()),
    "times": ("M8[ms]", ()),
    "durations": ("m8[ns]", (2,)),
    "texts": ("S5", (2,)),
}


@pytest.fixture(params=[*WAYS[::2], WAYS[-1]], ids="-".join)
def way(request):
    """Shared memory is the same whatever the greetings go through; only the first test tries all."""
    protocol, mode = request.param
    return {"protocol": protocol, "transfermode": mode}


def samples(dtype, shape, rows, seed=0):
    """Random values of a dtype."""
    dtype = np.dtype(dtype)
    raw = np.random.default_rng(seed).integers(1, 100, size=(rows, *shape), dtype=np.int64)
    if dtype.names:
        data = np.zeros((rows, *shape), dtype)
        for name in dtype.names:
            field = raw if dtype[name].subdtype is None else raw[..., None] + np.arange(2)
            data[name] = field
        return data
    return raw.astype(dtype)


@pytest.mark.parametrize(("protocol", "mode"), WAYS)
def test_what_is_sent_arrives(protocol, mode):
    for dtype, shape in KINDS.values():
        send_and_compare({"protocol": protocol, "transfermode": mode}, dtype, shape)


def send_and_compare(way, dtype, shape):
    data = samples(dtype, shape, 60)
    with OutputStream().configure(**way, dtype=dtype, sample_rate=50.0, units="mV") as out:
        with InputStream().connect(out) as inp:
            chunks = [data[:10], data[10:25], data[25:26], np.asfortranarray(data[26:40]), data[40:60:1][::-1][::-1]]
            ends = [out.send(chunk) for chunk in chunks]
            got = [inp.recv(timeout=30) for _ in chunks]
            assert [index for index, _ in got] == ends == [10, 25, 26, 40, 60]
            for (_, received), sent in zip(got, chunks, strict=True):
                assert received.dtype == sent.dtype
                np.testing.assert_array_equal(received, sent)
            assert (inp.parameters.units, inp.parameters.shape) == ("mV", (-1, *shape))
            statistics = inp.statistics()
            assert (statistics.received, statistics.missed, statistics.samples) == (5, 0, 60)


def test_a_sent_array_may_be_changed(way):
    with OutputStream().configure(**way, dtype="i8") as out, InputStream().connect(out) as inp:
        data = np.zeros(1000, "i8")
        for number in range(5):
            data[:] = number
            out.send(data)
        assert [inp.recv(30)[1].max() for _ in range(5)] == list(range(5))


def test_a_received_array_stays(way):
    with OutputStream().configure(**way, dtype="i8", buffer_size=4000) as out, InputStream().connect(out) as inp:
        kept = []
        for number in range(10):
            out.send(np.full(1000, number))
            kept.append(inp.recv(30)[1])
        assert [(int(one.min()), int(one.max())) for one in kept] == [(n, n) for n in range(10)]


def test_wrong_chunks_are_refused_and_nothing_is_sent(way):
    shapes = [((3, 4), "f8"), ((3, 5), "f4"), ((3,), "f4"), ((3, 4, 1), "f4"), ((), "f4")]
    with OutputStream().configure(**way, dtype="f4", shape=(-1, 4)) as out, InputStream().connect(out) as inp:
        for bad in [*(np.zeros(shape, dtype) for shape, dtype in shapes), [[1.0] * 4]]:
            with pytest.raises(LayoutError, match=r"stream carries|time axis"):
                out.send(bad)
        assert out.send(np.ones((2, 4), "f4")) == 2
        assert inp.recv(30)[0] == 2
        assert inp.statistics().missed == 0


def test_a_fixed_number_of_samples(way):
    with OutputStream().configure(**way, dtype="f4", shape=[2, 3]) as out, InputStream().connect(out) as inp:
        with pytest.raises(LayoutError):
            out.send(np.ones((3, 3), "f4"))
        out.send(np.ones((2, 3), "f4"))
        assert inp.recv(30)[1].shape == (2, 3)


def test_gaps_are_visible_and_filled(way):
    with OutputStream().configure(**way, dtype="f4") as out, InputStream().connect(out) as inp:
        inp.set_buffer(100)
        out.send(np.ones(4, "f4"))
        out.send(np.full(2, 2, "f4"), index=10)
        assert inp.recv(30)[0] == 4
        assert inp.recv(30)[0] == 10
        assert (inp.last.missed_samples, inp.last.missed_chunks) == (4, 0)
        assert np.isnan(inp[4:8]).all()
        assert inp[8:10].tolist() == [2, 2]
        assert inp.statistics().missed_samples == 4
        with pytest.raises(LayoutError, match="goes back"):
            out.send(np.ones(1, "f4"), index=10)


def test_a_late_reader_hears_what_is_sent_from_then_on(way):
    with OutputStream().configure(**way, dtype="i4") as out:
        for number in range(5):
            out.send(np.full(3, number, "i4"))
        with InputStream().connect(out) as inp:
            out.send(np.full(3, 5, "i4"))
            index, data = inp.recv(30)
            assert (index, data.tolist()) == (18, [5, 5, 5])
            assert inp.statistics().missed == 0
        assert out.statistics().unheard == 5


def test_the_end_comes_after_all_chunks(way):
    with OutputStream().configure(**way, dtype="i4", shape=(-1,)) as out:
        inp = InputStream().connect(out)
        for number in range(20):
            out.send(np.full(7, number, "i4"))
    with inp:
        assert [int(data[0]) for _, data in inp] == list(range(20))
        for _ in range(2):
            with pytest.raises(EndOfDataError, match="closed the stream"):
                inp.recv(timeout=30)
        assert inp.events[-1].kind == "ended"


def test_waiting_ends_in_time(way):
    with OutputStream().configure(**way, dtype="i4", shape=(-1,)) as out, InputStream().connect(out) as inp:
        for timeout in (0, 0.02):
            with pytest.raises(WaitTimeoutError):
                inp.recv(timeout)
        assert not inp.poll()
        out.send(np.zeros(1, "i4"))
        assert inp.poll(30)
        assert inp.recv(0)[0] == 1


def test_several_readers_and_threads_lose_nothing_with_block(way):
    count, rows = 400, 50
    with OutputStream().configure(**way, dtype="i8", window=8, buffer_size=400) as out:
        readers = [InputStream().connect(out) for _ in range(2)]
        sums: dict[int, list[int]] = {0: [], 1: []}

        def read(number):
            for _, data in readers[number]:
                sums[number].append(int(data[0]))

        threads = [threading.Thread(target=read, args=(number,)) for number in range(2)]
        for thread in threads:
            thread.start()
        for number in range(count):
            out.send(np.full(rows, number), timeout=30)
        out.close()
        for thread in threads:
            thread.join(30)
        for reader in readers:
            assert reader.statistics().missed == 0
            reader.close()
        assert sums[0] == sums[1] == list(range(count))


def test_chunks_longer_than_the_first(way):
    with OutputStream().configure(**way, dtype="i4", buffer_size=100) as out, InputStream().connect(out) as inp:
        for rows in (3, 50, 7, 1):
            out.send(np.arange(rows, dtype="i4"))
            assert inp.recv(30)[1].tolist() == list(range(rows))


def test_a_small_memory_goes_round_and_round():
    settings = {"transfermode": "sharedmem", "dtype": "f4", "shape": (1024, 16), "buffer_size": 16 * 1024}
    with OutputStream().configure(**settings) as out, InputStream().connect(out) as inp:
        for number in range(100):  # its heads are so small that more of them fit than frames
            assert out.send(np.full((1024, 16), number, "f4"), timeout=30) == inp.recv(30)[0]
        assert inp.statistics().missed == 0


def has_followed(inp, restarts):
    with pytest.raises((WaitTimeoutError, EndOfDataError)):
        inp.recv(0.01)
    return inp.statistics().restarts == restarts


def test_a_sender_begins_anew_with_the_same_readers(way):
    with OutputStream().configure(**way, dtype="i4", shape=(-1,)) as out, InputStream().connect(out) as inp:
        for life in range(3):
            for _ in range(2):
                out.send(np.full(3, life, "i4"))
            out.restart()
            assert out.index == 0
            assert [inp.recv(30)[0] for _ in range(2)] == [3, 6]
            with pytest.raises(EndOfDataError):
                inp.recv(30)
            until(partial(has_followed, inp, life + 1))
        statistics = inp.statistics()
        assert (statistics.received, statistics.missed, statistics.restarts) == (6, 0, 3)
