"""A ledger tells the truth: compared with what the sender knows of the faults that it made."""

import random
from collections import Counter
from dataclasses import dataclass, field

import pytest

import labdaq
from labdaq.packet import BlockSink, PacketCapture, Packets, RingSink, UDPCapture
from tests.packet.test_capture import capture_all
from tests.packet.test_sockets import linked
from tests.packet.toy import TOY, stream

NSRC, GULP = 3, 16


@dataclass
class Sender:
    """Packets in the order in which they go, and what was done to them."""

    packets: list = field(default_factory=list)
    counts: Counter = field(default_factory=Counter)
    gone: set = field(default_factory=set)
    """(number, source) of which nothing good goes."""


def faulty(seed, frames=120, *, reach=8):
    """Loss, duplicates, disorder, damaged headers and cut packets; the first frames and the last are good."""
    rng = random.Random(seed)
    sender, places = Sender(), []
    for place, packet in enumerate(stream(0, frames, NSRC)):
        number, source = divmod(place, NSRC)
        kind = rng.choices(["good", "lost", "twice", "damaged", "cut"], [80, 5, 5, 5, 5])[0]
        if not 3 <= number < frames - 3:
            kind = "good"
        sender.counts[kind] += 1
        if kind != "lost":
            jitter = rng.uniform(0, reach) if 3 <= number < frames - 3 else 0
            damaged = bytes([packet[0] ^ 1]) + packet[1:] if kind == "damaged" else packet
            places.append((place + jitter, damaged[: rng.randrange(13, 17)] if kind == "cut" else damaged))
        if kind == "twice":
            places.append((place + rng.uniform(0, reach), packet))
        if kind in ("lost", "damaged", "cut"):
            sender.gone.add((number, source))
    sender.packets = [packet for _, packet in sorted(places, key=lambda pair: pair[0])]
    return sender


def check(sender, ledger, frames=120):
    assert ledger.closes
    assert ledger.arrived == len(sender.packets)
    assert ledger.expected.tolist() == [frames] * NSRC
    assert ledger.accepted == frames * NSRC - len(sender.gone)
    assert ledger.duplicate == sender.counts["twice"]
    assert ledger.invalid == {
        "bad_header": sender.counts["damaged"], "wrong_size": sender.counts["cut"], "wrong_source": 0, "stray": 0,
    }  # fmt: skip
    by_source = Counter(source for _, source in sender.gone)
    assert ledger.missing.tolist() == [by_source[source] for source in range(NSRC)]


@pytest.mark.promise("P1", "packets lost, twice, late, damaged and cut: a capture counts what the sender counted")
def test_in_every_trial_from_memory(often, saw):
    trials = often(60, 1000)
    for seed in range(trials):
        sender, sink = faulty(seed), BlockSink()
        capture = PacketCapture(TOY, Packets(sender.packets), sink, nsrc=NSRC, ntime_gulp=GULP)
        capture_all(capture)
        check(sender, capture.ledger())
        missing = {
            (b.seq + i, s) for b in sink.blocks for i, row in enumerate(b.present) for s in range(NSRC) if not row[s]
        }
        assert missing == sender.gone
    saw(f"{trials} trials, all counts equal")


@pytest.mark.parametrize("merge", [False, True])
def test_in_every_trial_from_a_network(merge):
    receiver, sending = linked(merge=merge)
    receiver.timeout = 0.03
    with receiver, sending:
        for seed in range(5):
            sender = faulty(100 + seed)
            with labdaq.Ring() as ring:
                with UDPCapture(TOY, receiver, ring, nsrc=NSRC, ntime_gulp=GULP) as capture:
                    for packet in sender.packets:
                        sending.socket.send(packet)
                    capture_all(capture)
                check(sender, capture.ledger())


def test_late_packets_are_missing_ones():
    for seed in range(20):
        sender = faulty(seed, reach=150)
        capture = PacketCapture(TOY, Packets(sender.packets), BlockSink(), nsrc=NSRC, ntime_gulp=GULP)
        capture_all(capture)
        ledger = capture.ledger()
        assert ledger.closes
        assert ledger.accepted + ledger.missing.sum() == ledger.expected.sum()
        assert ledger.accepted + ledger.late + ledger.duplicate + sum(ledger.invalid.values()) == len(sender.packets)
        assert ledger.invalid["bad_header"] == sender.counts["damaged"]


def test_overload_of_the_ring():
    """A reader that reads nothing: all is drained, and what was not kept is counted."""
    for seed in range(10):
        sender = faulty(seed)
        with labdaq.Ring() as ring:
            reader = ring.read()
            capture = PacketCapture(TOY, Packets(sender.packets), RingSink(ring, is_live=True), nsrc=NSRC, ntime_gulp=4)
            capture_all(capture)
            ledger = capture.ledger()
            reader.close()
            capture.close()
        assert ledger.closes
        assert ledger.ring_full > 0
        assert ledger.handed_over == len(sender.packets)
        assert ledger.accepted + ledger.missing.sum() == 120 * NSRC


def test_overload_of_the_socket():
    """Nobody fetches, and the buffer is small: what the system dropped and what was handed over is what was sent."""
    receiver, sending = linked()
    with receiver, sending, labdaq.Ring() as ring:
        receiver.bind(receiver.address, buffer=8192)
        receiver.timeout = 0.05
        with UDPCapture(TOY, receiver, ring, nsrc=NSRC, ntime_gulp=GULP) as capture:
            packets = stream(0, 200, NSRC)
            for packet in packets:
                sending.socket.send(packet)
            capture_all(capture)
            ledger = capture.ledger()
        if ledger.kernel_drops is None:
            pytest.skip("this system does not say what it drops")
        assert ledger.kernel_drops > 0
        assert ledger.arrived == len(packets)
        assert ledger.closes
