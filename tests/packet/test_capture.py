"""Captures and rings: room, threads, errors, several at once."""

import contextlib
import io
import os
import signal
import threading
import time

import numpy as np
import pytest

import labdaq
from labdaq.errors import BusyError, ClosedError, LayoutError, ResourceError
from labdaq.packet import (
    Address,
    CaptureStatus,
    DiskReader,
    DiskWriter,
    HeaderInfo,
    PacketCapture,
    Packets,
    RingSink,
    UDPCapture,
    UDPSocket,
    UDPTransmit,
    warm,
)
from labdaq.packet.pace import Pace
from tests.packet.recipes import BY_NAME, packets_of
from tests.packet.toy import TOY, stream, toy


@pytest.fixture
def ring():
    with labdaq.Ring("packets") as ring:
        yield ring


@pytest.fixture
def link():
    with UDPSocket() as receiver, UDPSocket() as sender:
        receiver.bind(Address("127.0.0.1", 0))
        receiver.timeout = 0.05
        sender.connect(receiver.address)
        yield receiver, sender


def capture_all(capture):
    statuses = []
    while not statuses or statuses[-1] not in (CaptureStatus.ENDED, CaptureStatus.NO_DATA):
        statuses.append(capture.recv())
    return statuses


def until(condition):
    end = time.monotonic() + 20
    while not condition() and time.monotonic() < end:
        time.sleep(0.005)
    assert condition()


class TestRing:
    def test_spans_carry_data_and_what_was_present(self, ring):
        packets = stream(10, 21, 2)
        del packets[5]
        reader = ring.read()
        with PacketCapture(TOY, Packets(packets), RingSink(ring, is_live=False), nsrc=2, ntime_gulp=4) as capture:
            capture_all(capture)
        sequence = reader.next_sequence()
        assert (sequence.time_tag, sequence.header["seq0"], sequence.header["chan"]) == (10, 10, 7)
        spans = [(span.data.shape, span.planes["present"].tolist()) for span in sequence.read(4)]
        assert [shape for shape, _ in spans] == [(4, 2, 4), (4, 2, 4), (3, 2, 4)]
        assert spans[0][1] == [[1, 1], [1, 1], [1, 0], [1, 1]]

    def test_a_file_waits_for_readers(self, ring):
        file = io.BytesIO(b"".join(stream(0, 4000, 1)))
        reader, seen = ring.read(), []

        def read():
            seen.extend(int(span.data[:, 0, 0].size) for sequence in reader for span in sequence.read(64))

        with DiskReader(TOY, file, ring, nsrc=1, ntime_gulp=64) as capture:
            thread = threading.Thread(target=read)
            thread.start()
            capture_all(capture)
        thread.join()
        assert sum(seen) == 4000
        assert capture.ledger().ring_full == 0

    def test_a_full_ring_loses_whole_gulps_and_time_stays_right(self, ring):
        """The ring has room for four gulps, and a reader that reads nothing at first."""
        reader = ring.read()
        packets = Packets(stream(0, 40, 2), stream(40, 80, 2))
        capture = PacketCapture(TOY, packets, RingSink(ring, is_live=True), nsrc=2, ntime_gulp=4)
        while capture.ledger().handed_over < 80:
            capture.recv()
        assert capture.ledger().closes
        assert capture.ledger().ring_full > 0
        sequence = reader.next_sequence()
        spans = sequence.read(4)
        assert [next(spans).data[:, 0, 0].tolist() for _ in range(4)] == [
            [4 * i + j for j in range(4)] for i in range(4)
        ]
        next_one = threading.Thread(target=lambda: later.extend(_frames(reader)))
        later = []
        spans.close()
        next_one.start()
        capture_all(capture)
        capture.close()
        next_one.join()
        for time_tag, frames in later:
            assert frames[:1] in ([], [time_tag])
            assert frames == list(range(time_tag, time_tag + len(frames)))
        final = capture.ledger()
        assert final.closes
        assert final.expected.tolist() == [80, 80]
        assert final.missing.sum() == final.ring_full
        assert sum(len(frames) for _, frames in later) + 16 == 80 - final.ring_full // 2

    def test_two_captures_of_one_format(self):
        with contextlib.ExitStack() as stack:
            rings = [stack.enter_context(labdaq.Ring()) for _ in range(2)]
            readers = [ring.read() for ring in rings]
            seen = [[], []]
            for i, ring in enumerate(rings):
                callback = lambda setup, i=i: (setup.seq0, seen[i].append(setup.chan) or {"which": i})  # noqa: E731
                file = io.BytesIO(b"".join(stream(i, 9, 1, chan=i)))
                reader = stack.enter_context(
                    DiskReader(TOY, file, ring, nsrc=1, ntime_gulp=16, sequence_callback=callback)
                )
                capture_all(reader)
                reader.close()
            assert seen == [[0], [1]]
            assert [[s.header["which"] for s in reader] for reader in readers] == [[0], [1]]

    def test_only_one_writes_to_a_ring(self, ring):
        with DiskReader(TOY, io.BytesIO(), ring, nsrc=1):
            with pytest.raises(BusyError):
                DiskReader(TOY, io.BytesIO(), ring, nsrc=1)

    @pytest.mark.parametrize(
        "wrong", [{"nsrc": 0}, {"ntime_gulp": 0}, {"open_gulps": 0}, {"rate": -1}, {"core": 4096}, {"align": True}]
    )
    def test_settings_that_cannot_be(self, ring, wrong):
        with pytest.raises(LayoutError):
            DiskReader(TOY, io.BytesIO(), ring, **{"nsrc": 1} | wrong)
        with ring.begin_writing():  # the ring is free again
            pass

    def test_sources_that_do_not_make_up_a_frame(self, ring):
        recipe = BY_NAME["snap2"]
        file = io.BytesIO(b"".join(packets_of(recipe, recipe.data(3))))
        with DiskReader("snap2", file, ring, nsrc=5) as reader:
            assert capture_all(reader) == [CaptureStatus.NO_DATA]
            assert reader.ledger().invalid["wrong_source"] == 12


def _frames(reader):
    for sequence in reader:
        yield sequence.time_tag, [int(n) for span in sequence.read(4) for n in span.data[:, 0, 0]]


class TestThread:
    def test_start_and_stop(self, ring, link):
        receiver, sender = link
        receiver.timeout = None
        with UDPCapture(TOY, receiver, ring, nsrc=2, ntime_gulp=4) as capture:
            capture.start()
            with pytest.raises(BusyError, match="thread of its own"):
                capture.recv()
            with pytest.raises(BusyError, match="already"):
                capture.start()
            for packet in stream(0, 10, 2):
                sender.socket.send(packet)
            until(lambda: capture.ledger().handed_over == 20)
            capture.stop()
            assert capture.ledger().accepted == 20
            assert capture.ledger().closes
        with pytest.raises(ClosedError):
            capture.recv()

    def test_an_error_of_the_callback_comes_out_of_stop(self, ring, link):
        receiver, sender = link

        def start(setup):
            raise ValueError("no such telescope")

        capture = UDPCapture(TOY, receiver, ring, nsrc=1, sequence_callback=start)
        capture.start()
        for packet in stream(0, 4, 1):
            sender.socket.send(packet)
        until(lambda: not capture._thread.is_alive())
        with pytest.raises(ValueError, match="no such telescope"):
            capture.stop()
        assert capture.ledger().closes
        capture.close()

    @pytest.mark.skipif(os.name != "posix", reason="signals")
    @pytest.mark.parametrize("portable", [False, True])
    def test_a_blocked_recv_ends_on_interrupt(self, ring, link, portable):
        receiver, _ = link
        receiver.timeout = None
        with UDPCapture(TOY, receiver, ring, nsrc=1, portable=portable) as capture:
            timer = threading.Timer(0.1, lambda: os.kill(os.getpid(), signal.SIGINT))
            timer.start()
            with pytest.raises(KeyboardInterrupt):
                capture.recv()
            timer.join()

    @pytest.mark.parametrize("portable", [False, True])
    def test_frames_are_handed_out_in_time(self, ring, link, portable):
        receiver, sender = link
        receiver.timeout = None
        reader = ring.read()
        with UDPCapture(TOY, receiver, ring, nsrc=1, ntime_gulp=100, flush_s=0.02, portable=portable) as capture:
            for packet in stream(0, 7, 1):
                sender.socket.send(packet)
            while capture.ledger().in_flight.size and not _handed_out(capture):
                capture.recv()
            assert capture.ledger().accepted == 7
            capture.stop()
        assert [[len(span.data) for span in s.read(100)] for s in reader] == [[7]]

    def test_the_thread_goes_back_to_its_cores(self, ring):
        if not hasattr(os, "sched_getaffinity"):
            pytest.skip("cores cannot be chosen here")
        before = os.sched_getaffinity(0)
        with DiskReader(TOY, io.BytesIO(), ring, nsrc=1, core=min(before)) as reader:
            reader.recv()
        DiskWriter("tbn", io.BytesIO(), core=min(before)).send(HeaderInfo(), 0, 1, 0, 1, BY_NAME["tbn"].data(1))
        assert os.sched_getaffinity(0) == before


def _handed_out(capture):
    ledger = capture.ledger()
    return ledger.accepted == 7 and not capture._assembly.has_open_frames


class TestSockets:
    def test_a_port_in_use_is_said(self, link):
        receiver, _ = link
        with UDPSocket() as other:
            with pytest.raises(BusyError, match=str(receiver.address.port)):
                other.bind(receiver.address)
            with pytest.raises(ClosedError):
                other.fileno()

    def test_multicast_and_ipv6(self, ring):
        for receive, send in [("224.0.0.251", "224.0.0.251"), ("::1", "::1")]:
            with UDPSocket() as receiver, UDPSocket() as sender:
                try:
                    receiver.bind(Address(receive, 0))
                    sender.connect(Address(send, receiver.address.port))
                    sender.socket.send(toy(1))
                except (ResourceError, OSError) as error:
                    pytest.skip(f"not on this machine: {error}")
                receiver.timeout = 0.1
                with UDPCapture(TOY, receiver, ring, nsrc=1) as capture:
                    capture_all(capture)
                assert capture.ledger().accepted in ((1,) if receive == "::1" else (0, 1))

    def test_datagrams_of_any_length(self, ring, link):
        receiver, sender = link
        for portable in (False, True):
            for nbytes in (0, 1, 16, 100, 101, 5000):
                sender.socket.send(bytes(nbytes))
            with UDPCapture(TOY, receiver, ring, nsrc=1, max_size=100, portable=portable) as capture:
                capture_all(capture)
            ledger = capture.ledger()
            assert ledger.invalid == {"bad_header": 2, "wrong_size": 4, "wrong_source": 0, "stray": 0}
            assert ledger.closes

    def test_sending_through_a_closed_socket_is_an_error(self, link):
        _, sender = link
        transmit = UDPTransmit("tbn", sender)
        sender.close()
        with pytest.raises(ClosedError):
            transmit.send(HeaderInfo(), 0, 1, 0, 1, BY_NAME["tbn"].data(1))

    def test_packet_by_packet(self, ring, link):
        receiver, sender = link
        recipe = BY_NAME["tbn"]
        transmit = UDPTransmit("tbn", sender, portable=True)
        recipe.send(transmit, recipe.data(4))
        with UDPCapture("tbn", receiver, ring, nsrc=4) as capture:
            capture_all(capture)
        assert capture.ledger().accepted == 16
        assert capture.rate == 1960


def test_everything_can_be_compiled_beforehand():
    assert warm() == 9


class TestPace:
    @pytest.mark.parametrize("rate", [100, 1000, 20_000, 1_000_000])
    def test_never_ahead_and_exact(self, rate):
        pace, now, gone = Pace(rate), 0.0, 0
        limit = max(1, min(8, rate * 0.001))
        while gone < min(2 * rate, 20_000):
            gone += pace.allowed(now)
            assert gone <= now * rate + limit + 1e-2
            now += max(pace.wait_s(now), 1e-9)
        assert now == pytest.approx(gone / rate, rel=0.01)

    @pytest.mark.parametrize("rate", [1000, 20_000, 100_000])
    def test_making_packets_takes_time_and_sleeping_too_long(self, rate):
        """A few packets at a time, made in 0.1 ms, and each sleep 0.06 ms too long."""
        pace, now, gone = Pace(rate), 0.0, 0
        while gone < rate:
            now += 1e-4
            pace.begin(now)
            left = 16
            while left:
                count = pace.allowed(now, left)
                left, gone = left - count, gone + count
                now += 6e-5 + pace.wait_s(now) if left else 0.0
        assert now == pytest.approx(1.0, rel=0.01)

    def test_idle_time_is_not_made_up_for(self):
        pace = Pace(1000)
        assert pace.allowed(0.0) == 1
        pace.begin(10.0)
        assert pace.allowed(10.0) == 1
        assert np.isclose(pace.wait_s(10.0), 0.001)
