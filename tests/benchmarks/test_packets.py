"""What capturing packets costs, beside the same work in C, and reading them from a file, beside memcpy.

Receiving is measured as CPU time of the receiving thread per packet: a burst is sent into a large buffer of the
socket, and then drained, so that sender and receiver do not disturb each other. Both write to as much memory.
Packets that the system dropped are reported.
"""

import ctypes
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import labdaq
from labdaq.packet import (
    Address,
    CaptureStatus,
    DiskReader,
    HeaderInfo,
    Ledger,
    PacketFormat,
    UDPCapture,
    UDPSocket,
    UDPTransmit,
    find_format,
)
from tests.benchmarks import c_packets as c
from tests.benchmarks.harness import SPAWN, in_turns, line, median, median_ratio, report
from tests.packet.recipes import CI8, Recipe, packets_of

pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(600)]

SOURCES, GULP = 16, 250  # 4000 packets to a gulp, of which the ring has room for four
SLOTS = 4 * SOURCES * GULP
SIZES = {1408: 28_000, 3520: 28_000, 8192: 24_000}  # payload in bytes: packets of a burst
REPEATS = 7
_OVER = {CaptureStatus.ENDED, CaptureStatus.NO_DATA}
_HEADER = np.dtype([("before", ">u8"), ("seq", ">u8"), ("rest", "V16")])


def _decode(h):
    return h.seq >> 4, h.seq & 15


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    return c.compile_reference(tmp_path_factory.mktemp("reference"))


class Drain:
    """A capture of the packets of the reference, burst by burst."""

    def __init__(self, library: Any, packet_format: PacketFormat, payload: int, count: int, *, merge: bool = False):
        self._library, self._payload, self._count = library, payload, count
        self.receiver, self.sender = c.link(merge=merge)
        self._ring = labdaq.Ring()
        self.capture = UDPCapture(
            packet_format, self.receiver, self._ring, nsrc=SOURCES, max_size=payload + c.HEADER, ntime_gulp=GULP
        )
        self.drops = 0
        self._compile()

    def _compile(self) -> None:
        c.send(self._library, self.sender, self._payload, 1000)
        while self.capture.recv() not in _OVER:
            pass

    def ns_per_packet(self, per_message: int = 1) -> float:
        """CPU time for one packet, the first gulps left out: a new sequence costs some ms."""
        c.send(self._library, self.sender, self._payload, self._count, per_message)
        assert self.capture.recv() in {CaptureStatus.STARTED, CaptureStatus.CHANGED}
        self.capture.recv()
        before, begin = self.capture.ledger(), time.thread_time_ns()
        for _ in range(self._count // (SOURCES * GULP) - 4):
            self.capture.recv()
        elapsed, after = time.thread_time_ns() - begin, self.capture.ledger()
        while self.capture.recv() not in _OVER:
            pass
        self.drops = after.kernel_drops or 0
        return elapsed / (after.handed_over - before.handed_over)

    def close(self) -> None:
        self.capture.close()
        self._ring.close()
        self.receiver.close()
        self.sender.close()


def c_ns_per_packet(library: Any, payload: int, count: int, ring: Any, per_message: int = 1) -> float:
    receiver, sender = c.link(merge=per_message > 1)
    with receiver, sender:
        c.send(library, sender, payload, count, per_message)
        mode = c.GRO if per_message > 1 else c.COPY
        result = c.receive(library, receiver, payload, count, ring, SLOTS, mode)
    return 1e9 * result.cpu / max(1, result.packets)


@pytest.mark.parametrize("merged", [False, True], ids=["plain", "merged"])
@pytest.mark.parametrize("payload", SIZES)
def test_receiving(library, payload, merged):
    """Receive, decode and put into place; with ``merged`` by GSO and GRO."""
    per_message = 60_000 // (payload + c.HEADER) if merged else 1
    count = SIZES[payload] // per_message * per_message
    ring = ctypes.create_string_buffer(SLOTS * payload)
    packet_format = PacketFormat("reference", _HEADER, _decode, payload=payload)
    drain = Drain(library, packet_format, payload, count, merge=merged)
    found = in_turns(
        REPEATS,
        c=lambda: c_ns_per_packet(library, payload, count, ring, per_message),
        labdaq=lambda: drain.ns_per_packet(per_message),
    )
    drain.close()
    ratio = median_ratio(found["labdaq"], found["c"])
    figures = {name: median(values) for name, values in found.items()}
    name = f"receive_{payload}B" + ("_merged" if merged else "")
    say = {"c_ns": figures["c"], "labdaq_ns": figures["labdaq"], "drops": drain.drops, "repeats": REPEATS}
    if merged:
        line(name, value=ratio, unit="of C", **say)
    else:
        report(name, ratio, "of C", target=1.10, **say)


@pytest.mark.parametrize("payload", SIZES)
def test_end_to_end(library, payload):
    """Sender and receiver at the same time over the loopback, with GSO and GRO.

    Packets per second by the clock, which others on this machine disturb; and CPU time of the busier side, which is
    what limits them where nobody does.
    """
    per_message = 60_000 // (payload + c.HEADER)
    count = 400_000 // (SOURCES * per_message) * SOURCES * per_message
    ring = ctypes.create_string_buffer(SLOTS * payload)
    found = in_turns(
        5,
        c=lambda: c.both(library, payload, count, ring, SLOTS, per_message),
        labdaq=lambda: end_to_end(payload, count),
    )
    speeds = {name: [one.per_second for one in values] for name, values in found.items()}
    busier = {name: [one.busier_ns for one in values] for name, values in found.items()}
    came = {f"{name}_came": median([one.part for one in values]) for name, values in found.items()}
    report(
        f"end_to_end_{payload}B", median_ratio(speeds["labdaq"], speeds["c"]), "of C", target=0.8, at_least=True,
        c_kpps=median(speeds["c"]) / 1e3, labdaq_kpps=median(speeds["labdaq"]) / 1e3, **came,
    )  # fmt: skip
    report(
        f"end_to_end_cpu_{payload}B", median_ratio(busier["c"], busier["labdaq"]), "of C", target=0.8, at_least=True,
        **{f"{name}_ns": [median(side) for side in zip(*(one.cpu_ns for one in values), strict=True)]
           for name, values in found.items()}, **came,
    )  # fmt: skip


def _fill(header: Any, out: Any) -> None:
    header["seq"] = out.seq << 4 | out.src


def end_to_end(payload: int, count: int) -> c.EndToEnd:
    """The same with our pair."""
    packet_format = PacketFormat("reference", _HEADER, _decode, payload=payload, fill=_fill)
    frames = 100  # at a time
    data = np.zeros((frames, SOURCES, payload), np.uint8)
    receiver, sender = c.link(merge=True)
    with receiver, sender, labdaq.Ring() as ring:
        transmit = UDPTransmit(packet_format, sender)
        with UDPCapture(
            packet_format, receiver, ring, nsrc=SOURCES, max_size=payload + c.HEADER, ntime_gulp=GULP
        ) as capture:
            capture.start()
            transmit.send(HeaderInfo(), 0, 1, 0, 1, data)  # begins the sequence
            _wait_until(lambda: capture.ledger().accepted == frames * SOURCES)
            before = capture.ledger().handed_over
            begin, all_begin, mine_begin = time.perf_counter(), time.process_time(), time.thread_time()
            sent = 0
            while sent < count:
                sent += transmit.send(HeaderInfo(), frames + sent // SOURCES, 1, 0, 1, data)
            elapsed, mine = time.perf_counter() - begin, time.thread_time() - mine_begin
            time.sleep(3 * c.IDLE_S)
            rest = time.process_time() - all_begin - (time.thread_time() - mine_begin)  # of the capture's thread
            capture.stop()
            came = capture.ledger().handed_over - before
    cpu_ns = 1e9 * mine / sent, 1e9 * rest / max(1, came)
    return c.EndToEnd(came / elapsed, min(1.0, came / sent), cpu_ns)


def _wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 2
    while not condition() and time.monotonic() < end:
        time.sleep(0.01)


FILES = {  # format: what is sent, frames, and the target as a part of memcpy
    "chips_132": (Recipe("chips_132", "u1", 32 * 132, 16, info={"chan0": 1200, "tuning": 1}), 2000, 0.5),
    "tbn": (Recipe("tbn", CI8, 512, 32, step=512 * 1960, info={"tuning": 1}), 3000, 0.12),
}


@pytest.mark.parametrize("name", FILES)
def test_from_a_file(name):
    """Recorded packets in memory (tmpfs) into a ring that nobody reads; memcpy copies the payloads, 4 MiB at a time."""
    recipe, frames, target = FILES[name]
    path = Path("/dev/shm") / f"labdaq-bench-{name}"
    if not path.parent.is_dir():
        pytest.skip("needs a file system in memory at /dev/shm")
    try:
        path.write_bytes(
            b"".join(
                packets_of(recipe, recipe.data(50))
                + [
                    packet
                    for k in range(1, frames // 50)
                    for packet in packets_of(recipe, recipe.data(50), first=50 * k)
                ]
            )
        )
        nbytes = frames * recipe.nsrc * recipe.samples * np.dtype(recipe.dtype).itemsize
        found = in_turns(5, memcpy=lambda: memcpy_speed(nbytes), labdaq=lambda: file_speed(recipe, path, nbytes))
    finally:
        path.unlink(missing_ok=True)
    report(
        f"file_to_ring_{name}", median_ratio(found["labdaq"], found["memcpy"]), "of memcpy", target=target,
        at_least=True, labdaq_GBps=median(found["labdaq"]), memcpy_GBps=median(found["memcpy"]),
    )  # fmt: skip


def memcpy_speed(nbytes: int) -> float:
    """GB/s of CPU time, from memory that is not in a cache to memory that is not."""
    block = 4 << 20
    source, target = np.ones((16, block), np.uint8), np.ones((16, block), np.uint8)
    begin = time.thread_time()
    for i in range(nbytes // block):
        np.copyto(target[i % 16], source[i % 16])
    return nbytes // block * block / (time.thread_time() - begin) / 1e9


def file_speed(recipe: Recipe, path: Path, nbytes: int) -> float:
    """GB/s of payload in CPU time."""
    with labdaq.Ring() as ring, path.open("rb") as file:
        with DiskReader(recipe.name, file, ring, ntime_gulp=GULP, rate=1960 if recipe.name == "tbn" else None,
                        nsrc=recipe.nsrc) as reader:  # fmt: skip
            reader.recv()
            place, begin = reader.tell(), time.thread_time()
            while reader.recv() not in _OVER:
                pass
            elapsed = time.thread_time() - begin
            part = 1 - place / path.stat().st_size
            assert reader.ledger().missing.sum() == 0
    return nbytes * part / elapsed / 1e9


def test_a_format_of_ones_own_is_as_fast(library):
    """CPU time per packet of a format written in a cell, beside `chips`, which labdaq brings: the same bytes."""
    chips = find_format("chips_44")
    own = PacketFormat(
        "own", chips.header, lambda h: (h.seq - 1, h.roach - 1), payload=32 * 44, samples="ci4",
        setup=("chan0", "nchan"), layout=chips.layout,
    )  # fmt: skip
    recipe = Recipe("chips_44", "u1", 32 * 44, SOURCES, info={"chan0": 1200})
    packets = packets_of(recipe, recipe.data(1500))
    found = in_turns(REPEATS, shipped=lambda: memory_ns(chips, packets), own=lambda: memory_ns(own, packets))
    report(
        "own_format", median_ratio(found["own"], found["shipped"]), "of a shipped one", target=1.10,
        shipped_ns=median(found["shipped"]), own_ns=median(found["own"]),
    )  # fmt: skip


def memory_ns(packet_format: PacketFormat, packets: list[bytes]) -> float:
    """CPU time to put packets from memory into place."""
    from labdaq.packet import Batch, PacketCapture, Packets, RingSink

    with labdaq.Ring() as ring:
        sink = RingSink(ring, is_live=True)
        with PacketCapture(packet_format, Packets(Batch.of(packets)), sink, nsrc=SOURCES, ntime_gulp=GULP) as capture:
            capture.recv()
            begin = time.thread_time_ns()
            while capture.recv() not in _OVER:
                pass
            return (time.thread_time_ns() - begin) / len(packets)


@pytest.mark.parametrize("rate", [1_000, 20_000, 100_000])
def test_rate_limit(rate):
    """How far from its limit a sender is over a second, on the clock of this machine."""
    packet_format = PacketFormat("reference", _HEADER, _decode, payload=1408, fill=_fill)
    data = np.zeros((16, 1, 1408), np.uint8)
    errors = []
    with UDPSocket() as receiver, UDPSocket() as sender:
        receiver.bind(Address("127.0.0.1", 0), buffer=4096)  # most of it is dropped
        sender.connect(receiver.address)
        transmit = UDPTransmit(packet_format, sender)
        transmit.send(HeaderInfo(), 0, 1, 0, 1, data)
        transmit.set_rate_limit(rate)
        for _ in range(5):
            sent, begin = 0, time.perf_counter()
            while sent < rate:
                sent += transmit.send(HeaderInfo(), sent, 1, 0, 1, data[: rate - sent])
            errors.append(100 * abs(sent / rate / (time.perf_counter() - begin) - 1))
    report(f"rate_limit_{rate}_per_s", median(errors), "% of the limit", target=1.0, worst=max(errors), repeats=5)


RATE, SUSTAINED_S, RUNS = 100_000, "LABDAQ_BENCH_SECONDS", "LABDAQ_BENCH_RUNS"


def test_sustained():
    """A sender in a process of its own keeps 100 000 packets/s of 1408 B up: 10 s, or LABDAQ_BENCH_SECONDS.

    LABDAQ_BENCH_RUNS such runs, of which three in five are to lose nothing, and all balances to close.
    """
    seconds, runs = float(os.environ.get(SUSTAINED_S, "10")), int(os.environ.get(RUNS, "1"))
    done = [sustained(seconds) for _ in range(runs)]
    lost = [sent - ledger.accepted for sent, ledger, _ in done]
    closed = [ledger.closes and ledger.arrived == sent for sent, ledger, _ in done]
    report(
        "sustained_100kpps_1408B", sum(n == 0 for n in lost) / runs, "of runs without loss", target=0.6, at_least=True,
        seconds=seconds, lost=lost, sent=[sent for sent, _, _ in done], ledger_closed=closed, advice=done[0][2],
    )  # fmt: skip
    assert all(closed)


def sustained(seconds: float) -> tuple[int, Ledger, str]:
    """Packets sent, the balance of the capture, and what there is to say of its buffer."""
    packet_format = PacketFormat("reference", _HEADER, _decode, payload=1408, fill=_fill)
    near, far = SPAWN.Pipe()
    with UDPSocket() as receiver, labdaq.Ring() as ring:
        receiver.bind(Address("127.0.0.1", 0))
        receiver.timeout = 2.0
        with UDPCapture(packet_format, receiver, ring, nsrc=SOURCES, max_size=1440, ntime_gulp=GULP) as capture:
            capture.start()
            process = SPAWN.Process(target=send_steadily, args=(receiver.address.port, seconds, far))
            process.start()
            sent = near.recv()
            process.join()
            time.sleep(3 * c.IDLE_S)
            capture.stop()
            return sent, capture.ledger(), receiver.advice


def send_steadily(port: int, seconds: float, done: Any) -> None:
    """Packets at the rate, for so long; how many goes to ``done``."""
    packet_format = PacketFormat("reference", _HEADER, _decode, payload=1408, fill=_fill)
    frames = 100
    data = np.zeros((frames, SOURCES, 1408), np.uint8)
    with UDPSocket() as sender:
        sender.connect(Address("127.0.0.1", port))
        transmit = UDPTransmit(packet_format, sender)
        transmit.set_rate_limit(RATE)
        sent = 0
        while sent < RATE * seconds:
            sent += transmit.send(HeaderInfo(), sent // SOURCES, 1, 0, 1, data)
    done.send(sent)
