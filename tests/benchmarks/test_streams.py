"""Streams between two processes, beside raw pyzmq, Lab Streaming Layer, and a bare loop over shared memory.

Each run has a reader process of its own. Rates are those of a sender that is held by `block`, so that nothing is
lost; the CPU time of all threads of both processes is counted, ZeroMQ's included. The peers check nothing and count
nothing; the bare loop is what copying in and out costs.
"""

import os
import statistics
import time
from importlib import import_module
from multiprocessing import shared_memory

import numpy as np
import pytest

from labdaq.ring import Ring
from labdaq.stream import InputStream, OutputStream
from labdaq.stream.zeromq import load
from tests.benchmarks.harness import SPAWN, cpu_seconds, in_turns, median, median_ratio, report

pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(600)]

SIZES = {"4 KiB": (4096, 10_000), "64 KiB": (65536, 2_500)}
TURNS = 2
WARM_UP = 300
PACED, PERIOD_S = 500, 0.001


def chunk_of(nbytes):
    return np.ones((nbytes // 64, 16), "f4")


# ------------------------------------------------------------------------------------------ streams


def stream_reader(address, count, answers, is_paced, spin_s, copy):
    """Read, and answer with CPU seconds, latencies in us, and chunks that are missing."""
    with InputStream(spin_s=spin_s).connect(address, timeout=60) as inp:
        for _ in range(WARM_UP):
            inp.recv(60)
        latencies = []
        begin = cpu_seconds()
        for _ in range(count):
            inp.recv(60, copy=copy)
            if is_paced:
                latencies.append(time.time_ns() - inp.last.timestamp_ns)
        answers.put((cpu_seconds() - begin, statistics.median(latencies or [0]) / 1e3, inp.statistics().missed))


def run_stream(mode, nbytes, count, period_s=0.0, spin_s=None, *, copy=True):
    """CPU time per chunk (us), median latency (us), missing chunks."""
    data = chunk_of(nbytes)
    shape = data.shape if mode == "sharedmem" else (-1, 16)
    answers = SPAWN.Queue()
    with OutputStream().configure(transfermode=mode, dtype="f4", shape=shape) as out:
        reader = SPAWN.Process(target=stream_reader, args=(out.address, count, answers, period_s > 0, spin_s, copy))
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


# ------------------------------------------------------------------------------- a loop over shared memory

SLOTS = 256


def bare_reader(name, nbytes, count, answers):
    memory = shared_memory.SharedMemory(name)
    counters = np.ndarray(2, np.int64, memory.buf)
    slots = np.ndarray((SLOTS, nbytes), np.uint8, memory.buf, 64)
    begin = cpu_seconds()
    for number in range(count):
        while counters[0] <= number:
            time.sleep(50e-6)
        slots[number % SLOTS].copy()
        counters[1] = number + 1
    answers.put((cpu_seconds() - begin, 0.0, 0))
    del counters, slots
    memory.close()


def run_bare(nbytes, count):
    """Copy in, count, copy out; who waits sleeps for 50 us."""
    memory = shared_memory.SharedMemory(create=True, size=64 + SLOTS * nbytes)
    counters = np.ndarray(2, np.int64, memory.buf)
    slots = np.ndarray((SLOTS, nbytes), np.uint8, memory.buf, 64)
    data = chunk_of(nbytes).view(np.uint8).reshape(-1)
    counters[:] = 0
    answers = SPAWN.Queue()
    reader = SPAWN.Process(target=bare_reader, args=(memory.name, nbytes, count, answers))
    reader.start()
    for number in range(count):
        if number == 1:  # the reader is there
            while counters[1] == 0:
                time.sleep(1e-3)
            begin = cpu_seconds()
        while number - counters[1] >= SLOTS:
            time.sleep(50e-6)
        slots[number % SLOTS] = data
        counters[0] = number + 1
    cpu_s = answers.get(timeout=60)[0] + cpu_seconds() - begin
    reader.join(30)
    del counters, slots
    memory.close()
    memory.unlink()
    return cpu_s / count * 1e6, 0.0, 0


# ------------------------------------------------------------------------------- a futex, and nothing else


def woken_reader(ring, answers):
    latencies = []
    with ring.reader() as reader:
        answers.put(None)
        for _ in range(PACED):
            event = reader.read(60)
            latencies.append(time.time_ns() - int(event.data[0]))
    answers.put(statistics.median(latencies) / 1e3)


def run_futex():
    """Median time (us) until a sleeping reader of a ring runs: what this machine takes to wake a process."""
    answers = SPAWN.Queue()
    with Ring(space="shared", dtype="i8", shape=(512,), capacity=64) as ring:
        reader = SPAWN.Process(target=woken_reader, args=(ring, answers))
        reader.start()
        answers.get(timeout=60)
        record = np.zeros(512, "i8")
        with ring.writer() as writer:
            for _ in range(PACED):
                time.sleep(PERIOD_S)
                record[0] = time.time_ns()
                writer.put(record)
            latency_us = answers.get(timeout=60)
        reader.join(30)
    return 0.0, latency_us, 0


# ------------------------------------------------------------------------------------ Lab Streaming Layer


def lsl_reader(name, samples, answers):
    lsl = import_module("pylsl")
    (found,) = lsl.resolve_byprop("source_id", name, timeout=30)
    inlet = lsl.StreamInlet(found, max_buflen=600)
    inlet.open_stream(timeout=30)
    begin, got = cpu_seconds(), 0
    room = np.empty((4096, 16), "f4")
    while got < samples:
        got += len(inlet.pull_chunk(timeout=10.0, max_samples=4096, dest_obj=room)[1])
    answers.put((cpu_seconds() - begin, 0.0, samples - got))


def run_lsl(nbytes, count):
    """Chunks of 16 channels at 100 kHz; LSL takes them apart into samples."""
    lsl = import_module("pylsl")
    data, name = chunk_of(nbytes), f"labdaq benchmark {os.getpid()}"
    outlet = lsl.StreamOutlet(lsl.StreamInfo(name, "EEG", 16, 100_000, "float32", name), max_buffered=600)
    answers = SPAWN.Queue()
    reader = SPAWN.Process(target=lsl_reader, args=(name, count * len(data), answers))
    reader.start()
    if not outlet.wait_for_consumers(30):
        raise TimeoutError("the inlet did not find the outlet")
    begin = cpu_seconds()
    for _ in range(count):
        outlet.push_chunk(data)
    cpu_s, _, missing = answers.get(timeout=120)
    cpu_s += cpu_seconds() - begin
    reader.join(30)
    return cpu_s / count * 1e6, 0.0, missing


# -------------------------------------------------------------------------------------------- figures


@pytest.mark.parametrize(("size", "most_us", "most_ratio"), [("4 KiB", 8.0, 1.5), ("64 KiB", 10.0, 1.15)])
def test_cost_of_a_chunk(size, most_us, most_ratio):
    nbytes, count = SIZES[size]
    runs = in_turns(
        TURNS,
        raw=lambda: run_raw(nbytes, count),
        tcp=lambda: run_stream("plaindata", nbytes, count),
        shared=lambda: run_stream("sharedmem", nbytes, count),
        views=lambda: run_stream("sharedmem", nbytes, count, copy=False),
        bare=lambda: run_bare(nbytes, count),
    )
    cpu = {name: [run[0] for run in results] for name, results in runs.items()}
    bare_us = median(cpu["bare"])
    unit = "us of CPU per chunk, both ends"
    report(f"stream: sharedmem, {size}", median(cpu["shared"]), unit, target=most_us, bare_loop_us=bare_us)
    report(f"stream: sharedmem, {size}, read in place", median(cpu["views"]), unit, target=most_us)
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
        spinning=lambda: run_stream("sharedmem", 4096, PACED, PERIOD_S, 2e-3),
        futex=run_futex,
    )
    p50 = {name: [run[1] for run in results] for name, results in runs.items()}
    futex_us = median(p50["futex"])
    unit = "us, median latency"
    report("stream: sharedmem, 1000 chunks/s", median(p50["shared"]), unit, target=25, futex_us=futex_us)
    report("stream: sharedmem, 1000 chunks/s, spinning", median(p50["spinning"]), unit, target=25)
    report(
        "stream: tcp, 1000 chunks/s",
        median_ratio(p50["tcp"], p50["raw"]),
        "of the median latency of raw pyzmq",
        target=1.2,
        tcp_us=median(p50["tcp"]),
        raw_us=median(p50["raw"]),
    )


def test_beside_lab_streaming_layer():
    pytest.importorskip("pylsl")
    runs = in_turns(1, tcp=lambda: run_stream("plaindata", 4096, 2000), lsl=lambda: run_lsl(4096, 2000))
    cpu = {name: [run[0] for run in results] for name, results in runs.items()}
    report(
        "stream: tcp, 4 KiB",
        median_ratio(cpu["tcp"], cpu["lsl"]),
        "of the CPU of Lab Streaming Layer",
        target=1.0,
        tcp_us=median(cpu["tcp"]),
        lsl_us=median(cpu["lsl"]),
    )


@pytest.mark.parametrize("policy", ["block", "drop_newest", "drop_oldest"])
@pytest.mark.parametrize("mode", ["plaindata", "sharedmem"])
def test_a_flood_is_accounted_for(mode, policy):
    count, data = 5000, chunk_of(4096)
    answers = SPAWN.Queue()
    with OutputStream().configure(transfermode=mode, dtype="f4", shape=data.shape, policy=policy) as out:
        reader = SPAWN.Process(target=flooded, args=(out.address, answers))
        reader.start()
        out.wait_for_readers(1, 60)
        for _ in range(count):
            out.send(data, timeout=60)
        out.drain(60)
        (account,) = out.statistics().readers
    received, missed = answers.get(timeout=60)
    reader.join(30)
    lost = account.dropped + account.lost
    report(f"stream: flood, {mode}, {policy}", lost, "chunks lost, all counted at both ends", target=count, sent=count)
    assert (received, missed) == (account.delivered, lost)
    assert received + missed == count
    assert policy != "block" or lost == 0


def flooded(address, answers):
    with InputStream().connect(address, timeout=60) as inp:
        for _ in inp:
            pass
        answers.put((inp.statistics().received, inp.statistics().missed))
