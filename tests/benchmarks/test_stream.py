"""Streams between two processes, beside raw pyzmq: CPU time of both ends for each chunk, latency, losses.

Each run has a reader process of its own. Rates are those of a sender that is held by `block`, so that nothing is
lost; the CPU time of all threads of both processes is counted, ZeroMQ's included.
"""

import statistics
import time
from importlib import import_module

import numpy as np
import pytest

from labdaq.stream import InputStream, OutputStream
from labdaq.stream.zeromq import load
from tests.benchmarks.harness import SPAWN, cpu_seconds, in_turns, median, median_ratio, report

pytestmark = pytest.mark.benchmark

SIZES = {"4 KiB": (4096, 20_000), "64 KiB": (65536, 5_000)}
TURNS = 3
WARM_UP = 300
PACED, PERIOD_S = 1000, 0.001


def chunk_of(nbytes):
    return np.ones((nbytes // 64, 16), "f4")


# ------------------------------------------------------------------------------------------ streams


def stream_reader(address, count, answers):
    """Read, and answer with CPU seconds, latencies in us, and chunks that are missing."""
    with InputStream().connect(address, timeout=60) as inp:
        for _ in range(WARM_UP):
            inp.recv(60)
        latencies = []
        begin = cpu_seconds()
        for _ in range(count):
            inp.recv(60)
            latencies.append(time.time_ns() - inp._arrival._last[0].timestamp_ns)
        answers.put((cpu_seconds() - begin, statistics.median(latencies) / 1e3, inp.statistics().missed))


def run_stream(mode, nbytes, count, period_s=0.0):
    """CPU time per chunk (us), median latency (us), missing chunks."""
    data = chunk_of(nbytes)
    shape = data.shape if mode == "sharedmem" else (-1, 16)
    answers = SPAWN.Queue()
    with OutputStream().configure(transfermode=mode, dtype="f4", shape=shape) as out:
        reader = SPAWN.Process(target=stream_reader, args=(out.address, count, answers))
        reader.start()
        out.wait_for_readers(1, 60)
        for _ in range(WARM_UP):
            out.send(data, timeout=60)
        out.drain(60)
        begin, next_s = cpu_seconds(), time.monotonic()
        for _ in range(count):
            pause(next_s := next_s + period_s)
            out.send(data, timeout=60)
        cpu_s, latency_us, missed = answers.get(timeout=60)
        cpu_s += cpu_seconds() - begin
        reader.join(30)
    return cpu_s / count * 1e6, latency_us, missed


def pause(until_s):
    """To send once in a while; not at all when the time has passed."""
    left_s = until_s - time.monotonic()
    if left_s > 0:
        time.sleep(left_s)


# ----------------------------------------------------------------------------------------- raw pyzmq


def raw_reader(address, count, answers):
    zmq = load()
    with zmq.Context() as context, context.socket(zmq.PULL) as socket:
        socket.connect(address)
        for _ in range(WARM_UP):
            socket.recv_multipart(copy=False)
        latencies = []
        begin = cpu_seconds()
        for _ in range(count):
            head, _data = socket.recv_multipart(copy=False)
            latencies.append(time.time_ns() - int.from_bytes(head.buffer, "little"))
        answers.put((cpu_seconds() - begin, statistics.median(latencies) / 1e3, 0))


def run_raw(nbytes, count, period_s=0.0):
    """The same with a PUSH and a PULL socket, which check nothing and count nothing."""
    zmq = load()
    data = memoryview(chunk_of(nbytes)).cast("B")
    answers = SPAWN.Queue()
    with zmq.Context() as context, context.socket(zmq.PUSH) as socket:
        port = socket.bind_to_random_port("tcp://127.0.0.1")
        reader = SPAWN.Process(target=raw_reader, args=(f"tcp://127.0.0.1:{port}", count, answers))
        reader.start()

        def send():
            socket.send(time.time_ns().to_bytes(8, "little"), zmq.SNDMORE)
            socket.send(data, copy=False)

        for _ in range(WARM_UP):
            send()
        time.sleep(0.2)
        begin, next_s = cpu_seconds(), time.monotonic()
        for _ in range(count):
            pause(next_s := next_s + period_s)
            send()
        cpu_s, latency_us, _ = answers.get(timeout=60)
        cpu_s += cpu_seconds() - begin
        reader.join(30)
        import_module("zmq.utils.garbage").gc.stop()  # the thread behind copy=False
    return cpu_s / count * 1e6, latency_us, 0


# -------------------------------------------------------------------------------------------- figures


@pytest.mark.parametrize(("size", "most_us", "most_ratio"), [("4 KiB", 8.0, 1.5), ("64 KiB", 10.0, 1.15)])
def test_cost_of_a_chunk(size, most_us, most_ratio):
    nbytes, count = SIZES[size]
    runs = in_turns(
        TURNS,
        raw=lambda: run_raw(nbytes, count),
        tcp=lambda: run_stream("plaindata", nbytes, count),
        shared=lambda: run_stream("sharedmem", nbytes, count),
    )
    cpu = {name: [run[0] for run in results] for name, results in runs.items()}
    report(f"stream: sharedmem, {size}", median(cpu["shared"]), "us of CPU per chunk, both ends", target=most_us)
    report(
        f"stream: tcp, {size}",
        median_ratio(cpu["tcp"], cpu["raw"]),
        "of the CPU of raw pyzmq",
        target=most_ratio,
        tcp_us=median(cpu["tcp"]),
        raw_us=median(cpu["raw"]),
    )
    assert all(run[2] == 0 for results in runs.values() for run in results)


def test_latency():
    runs = in_turns(
        TURNS,
        raw=lambda: run_raw(4096, PACED, PERIOD_S),
        tcp=lambda: run_stream("plaindata", 4096, PACED, PERIOD_S),
        shared=lambda: run_stream("sharedmem", 4096, PACED, PERIOD_S),
    )
    p50 = {name: [run[1] for run in results] for name, results in runs.items()}
    report("stream: sharedmem, 1000 chunks/s", median(p50["shared"]), "us, median latency", target=25)
    report(
        "stream: tcp, 1000 chunks/s",
        median_ratio(p50["tcp"], p50["raw"]),
        "of the median latency of raw pyzmq",
        target=1.2,
        tcp_us=median(p50["tcp"]),
        raw_us=median(p50["raw"]),
    )
