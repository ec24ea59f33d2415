"""What a notebook does does not disturb the instrument: no packet is lost to it."""

import subprocess
import sys
import threading

import pytest

import labdaq
from labdaq.packet import Address, PacketFormat, UDPCapture, UDPSocket
from tests.packet.test_capture import until

RATE, NBYTES = 20_000, 1400
SENDER = """
import socket, sys, time
port, count, rate, nbytes = map(int, sys.argv[1:])
out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
out.connect(("127.0.0.1", port))
rest = bytes(nbytes)
begin = time.monotonic()
for number in range(count):
    if number % 8 == 0:
        wait = begin + number / rate - time.monotonic()
        if wait > 0:
            time.sleep(wait)
    out.send(number.to_bytes(8, "big") + rest)
print(count)
"""
FORMAT = PacketFormat("twenty", [("seq", ">u8")], lambda h: (h.seq, 0), payload=NBYTES)


def spin(stop):
    """A cell that computes, in pure Python, and never lets go of the GIL of its own accord."""
    count = 0
    while not stop.is_set():
        for _ in range(1000):
            count += 1


def watch(ring, stop, seen):
    """A live display: whatever is newest, without holding anybody back."""
    with ring.read("latest", guarantee=False) as reader:
        for sequence in reader:
            for span in sequence.read(200):
                seen.append(float(span.data.mean()))
                if stop.is_set():
                    return


def keep(ring, path):
    """A file that fills: a reader that loses nothing."""
    with ring.read() as reader, path.open("wb", buffering=0) as file:
        for sequence in reader:
            for span in sequence.read(1000):
                file.write(span.data.data)


def capture(seconds, path=None):
    """The ledger of a capture with room for three seconds; all that goes on meanwhile if there is a path."""
    stop, seen = threading.Event(), []
    with UDPSocket() as receiver, labdaq.Ring("instrument") as ring:
        receiver.bind(Address("127.0.0.1", 0))
        receiver.timeout = None
        count = int(RATE * seconds)
        with UDPCapture(FORMAT, receiver, ring, nsrc=1, ntime_gulp=2000, ring_gulps=30) as capturing:
            jobs = [(spin, (stop,)), (watch, (ring, stop, seen)), (keep, (ring, path))] if path else []
            threads = [threading.Thread(target=job, args=arguments) for job, arguments in jobs]
            capturing.start()
            for thread in threads:
                thread.start()
            command = [sys.executable, "-c", SENDER, receiver.address.port, count, RATE, NBYTES]
            sent = int(subprocess.run([str(c) for c in command], capture_output=True, check=True, timeout=90).stdout)
            until(lambda: capturing.ledger().handed_over + (receiver.drops or 0) >= sent)
            capturing.stop()
            ledger = capturing.ledger()
            stop.set()
        for thread in threads:
            thread.join(20)
    assert sent == count
    return ledger, seen


def undisturbed(seconds, path):
    ledger, seen = capture(seconds, path)
    count = int(RATE * seconds)
    assert ledger.closes
    assert ledger.handed_over + (ledger.kernel_drops or 0) == count
    assert ledger.late == ledger.duplicate == 0
    if ledger.kernel_drops or ledger.ring_full:
        alone, _ = capture(seconds)
        if alone.kernel_drops or alone.ring_full:
            pytest.skip("this machine loses packets without a notebook, too")
    assert (ledger.kernel_drops or 0, ledger.ring_full) == (0, 0)
    assert path.stat().st_size == count * NBYTES
    assert seen


def test_neither_a_cell_nor_a_display_nor_a_file(tmp_path):
    undisturbed(2, tmp_path / "kept.dat")


@pytest.mark.slow
def test_for_ten_seconds(tmp_path):
    undisturbed(10, tmp_path / "kept.dat")
