"""The other side dies, is stopped, comes back, or is somebody else: nothing hangs, and the counts agree."""

import collections
import itertools
import os
import signal
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from labdaq.errors import ClosedError, DataError, EndOfDataError, LayoutError, WaitTimeoutError
from labdaq.stream import InputStream, OutputStream, header
from labdaq.stream.header import Kind
from labdaq.stream.zeromq import Lease, load
from tests.stream.cable import Cable
from tests.stream.victims import kill, process, read_for_ever, send_for_ever, until

MOST_S = 2.0  # until a peer that is there again is heard: a bound; without a load it takes a fifth of that


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def send_until(out, condition):
    """Send chunk after chunk, as fast as readers allow, until something is so."""

    def step():
        out.send(np.zeros(10, "i8"), timeout=30)
        return condition()

    until(step)


def wait_for_restart(inp):
    def has_restarted():
        with pytest.raises((WaitTimeoutError, EndOfDataError)):
            inp.recv(0.05)
        return inp.statistics().restarts == 1

    until(has_restarted)


@pytest.mark.parametrize("mode", ["plaindata", "sharedmem"])
def test_a_killed_reader_holds_nobody(mode):
    with OutputStream().configure(transfermode=mode, dtype="i8", shape=(10,), window=8, buffer_size=100) as out:
        with process(read_for_ever, out.address) as child:
            out.wait_for_readers(1, 60)
            send_until(out, lambda: out.statistics().readers[0].delivered > 100)
            kill(child)
            send_until(out, lambda: not out.statistics().readers[0].connected)
        (reader,) = out.statistics().readers
        assert reader.offered == reader.delivered + reader.dropped + reader.lost


def test_a_stopped_reader_is_given_up_and_comes_back():
    with OutputStream().configure(dtype="i8", shape=(10,), window=8) as out:
        with process(read_for_ever, out.address) as child:
            out.wait_for_readers(1, 60)
            send_until(out, lambda: out.statistics().readers[0].delivered > 10)
            os.kill(child.pid, signal.SIGSTOP)
            send_until(out, lambda: not out.statistics().readers[0].connected)
            os.kill(child.pid, signal.SIGCONT)
            out.wait_for_readers(1, 60)
            before = out.statistics().readers[0].delivered
            send_until(out, lambda: out.statistics().readers[0].delivered > before)
            out.drain(30)
            (reader,) = out.statistics().readers
            assert reader.lost > 0
            assert reader.offered == reader.delivered + reader.lost == out.statistics().sent


def test_a_stopped_reader_of_shared_memory_holds_the_sender_and_loses_nothing():
    with OutputStream().configure(transfermode="sharedmem", dtype="i8", shape=(10,), buffer_size=100) as out:
        with process(read_for_ever, out.address) as child:
            out.wait_for_readers(1, 60)
            send_until(out, lambda: out.statistics().readers[0].delivered > 10)
            os.kill(child.pid, signal.SIGSTOP)
            with pytest.raises(WaitTimeoutError, match="nothing was sent"):
                collections.deque((out.send(np.zeros(10, "i8"), timeout=0.1) for _ in itertools.count()), maxlen=0)
            until(lambda: not out.statistics().readers[0].connected)
            os.kill(child.pid, signal.SIGCONT)
            out.send(np.zeros(10, "i8"), timeout=30)
            until(lambda: out.statistics().readers[0].connected)
            before = out.statistics().readers[0].delivered
            send_until(out, lambda: out.statistics().readers[0].delivered > before)
            out.drain(30)
            (reader,) = out.statistics().readers
            assert (reader.offered, reader.dropped, reader.lost) == (reader.delivered, 0, 0)
            assert reader.offered == out.statistics().sent


@pytest.mark.parametrize("mode", ["plaindata", "sharedmem"])
def test_a_stopped_sender_is_noticed_and_heard_again(mode):
    with InputStream() as inp:
        port = free_port()
        with process(send_for_ever, {"transfermode": mode}, port) as child:
            inp.connect(f"tcp://127.0.0.1:{port}", timeout=60)
            inp.recv(60)
            os.kill(child.pid, signal.SIGSTOP)
            with pytest.raises(WaitTimeoutError, match="has not answered"):
                collections.deque((inp.recv(2.5) for _ in itertools.count()), maxlen=0)
            before = inp.statistics().received
            os.kill(child.pid, signal.SIGCONT)
            there_at = time.monotonic()
            inp.recv(60)
            assert time.monotonic() - there_at <= MOST_S
            for _ in range(19):
                inp.recv(60)
            assert inp.connected
            assert [event.kind for event in inp.events][:3] == ["connected", "lost", "resumed"]
            assert inp.statistics().received == before + 20


def test_a_dead_cable_with_both_ends_plugged_in():
    with OutputStream().configure(dtype="i8", shape=(10,), window=8) as out, Cable(out.address) as cable:
        with InputStream().connect(cable.address) as inp:
            out.send(np.zeros(10, "i8"))
            inp.recv(60)
            cable.cut()
            send_until(out, lambda: not out.statistics().readers[0].connected)
            lost_until = out.index
            with pytest.raises(WaitTimeoutError, match="has not answered"):
                collections.deque((inp.recv(2.5) for _ in itertools.count()), maxlen=0)
            cable.mend()
            there_at = time.monotonic()
            until(lambda: not inp.poll(0.01) and any(one.connected for one in out.statistics().readers))
            assert time.monotonic() - there_at <= MOST_S
            out.send(np.ones(10, "i8"))
            while (chunk := inp.recv(60))[0] <= lost_until:
                pass
            assert chunk[1].tolist() == [1] * 10
            until(lambda: not inp.poll(0.1) and out.statistics().readers[0].waiting == 0)
            (reader,) = out.statistics().readers
            got = inp.statistics()
            assert reader.offered == reader.delivered + reader.lost == out.statistics().sent
            assert (reader.delivered, reader.lost) == (got.received, got.missed)
            assert got.samples + got.missed_samples == out.index


@pytest.mark.parametrize("mode", ["plaindata", "sharedmem"])
def test_a_sender_that_begins_anew_is_an_event(mode):
    with OutputStream() as out, InputStream() as inp:
        out.configure(transfermode=mode, dtype="i8", shape=(3,), port=(port := free_port()))
        inp.connect(out)
        inp.set_buffer(10)
        out.send(np.arange(3))
        assert inp.recv(60)[0] == 3
        out.configure(transfermode=mode, dtype="i8", shape=(3,), port=port)
        with pytest.raises(EndOfDataError):
            inp.recv(60)
        wait_for_restart(inp)
        out.send(np.arange(3) + 10)
        assert inp.recv(60)[0] == 3
        assert inp[-3:].tolist() == [10, 11, 12]
        assert inp.events[-1].kind == "restarted"


def test_samples_of_two_lives_are_not_mixed():
    port = free_port()
    settings = {"dtype": "i8", "shape": (3,), "port": port}
    with OutputStream() as out, InputStream(chunk_size=2) as inp:
        inp.connect(out.configure(**settings))
        inp.set_buffer(5)
        out.send(np.arange(3))
        assert inp.recv(60)[0] == 2
        out.configure(**settings)
        assert inp.recv(60)[1].tolist() == [2]
        with pytest.raises(EndOfDataError):
            inp.recv(60)
        wait_for_restart(inp)
        out.send(np.arange(3) + 10, index=8)
        assert inp.recv(60)[1].tolist() == [10, 11]
        assert inp[:].tolist() == [0, 0, 10, 11, 12]


def test_nobody_at_the_address():
    with pytest.raises(WaitTimeoutError, match="nobody answers"):
        InputStream().connect(f"tcp://127.0.0.1:{free_port()}", timeout=0.1)


@pytest.mark.parametrize(
    "address", ["tcp://127.0.0.1:0", "tcp://127.0.0.1", "udp://127.0.0.1:5000", "ipc://", "tcp://a b:1"]
)
def test_no_address(address):
    with pytest.raises(LayoutError, match="is no address"):
        InputStream().connect(address)


def test_somebody_else_answers():
    with socket.socket() as stranger:
        stranger.bind(("127.0.0.1", 0))
        stranger.listen()
        with pytest.raises(WaitTimeoutError, match="nobody answers"):
            InputStream().connect(f"tcp://127.0.0.1:{stranger.getsockname()[1]}", timeout=0.2)


def test_garbage_before_the_handshake_disturbs_nobody():
    with OutputStream().configure(dtype="i8") as out, InputStream().connect(out) as inp:
        with socket.create_connection(("127.0.0.1", int(out.address.rsplit(":", 1)[1]))) as stranger:
            stranger.sendall(b"GET / HTTP/1.1\r\n\r\n" + bytes(range(256)) * 100)
        out.send(np.arange(3))
        assert inp.recv(60)[0] == 3


class Stranger:
    """Somebody with a ZeroMQ socket and other ideas."""

    def __init__(self, kind, address=None):
        self._lease = Lease()
        self.socket = self._lease.socket(getattr(load(), kind), rcvtimeo=5000)
        if address is not None:
            self.socket.connect(address)
        else:
            self.socket.bind("tcp://127.0.0.1:*")
            self.address = self.socket.getsockopt_string(load().LAST_ENDPOINT)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._lease.end()


def test_a_reader_of_another_version_is_told_so():
    with OutputStream().configure(dtype="i8") as out, Stranger("DEALER", out.address) as stranger:
        stranger.socket.send(header.HEAD.pack(b"LDQS", 99, Kind.HELLO, 0) + b"{}")
        answer = stranger.socket.recv()
        assert header.kind_of(answer) is Kind.REFUSED
        assert "version 99" in header.unpack_json(answer)["reason"]
        assert out.statistics().turned_away == 1


def test_the_chunk_by_which_a_reader_is_found_to_be_gone_is_counted_once():
    with OutputStream().configure(dtype="i8", shape=(10,), window=1000) as out:
        session = 0
        for _ in range(2):  # the second time it comes back, and is told of what it missed
            lease = Lease()
            reader = lease.socket(load().DEALER, routing_id=b"reader", rcvtimeo=30_000)
            reader.connect(out.address)
            reader.send(header.pack_json(Kind.HELLO, {"name": "reader", "session": session}))
            session = header.unpack_json(reader.recv())["session"]
            lease.end()
            send_until(out, lambda: not out.statistics().readers[0].connected)
        (account,) = out.statistics().readers
        assert account.offered == account.lost == out.statistics().sent > 0


def test_a_sender_that_refuses():
    with Stranger("ROUTER") as stranger:

        def refuse():
            identity, _probe = stranger.socket.recv_multipart()
            stranger.socket.send_multipart([identity, header.pack_json(Kind.REFUSED, {"reason": "not today"})])

        thread = threading.Thread(target=refuse)
        thread.start()
        with pytest.raises(DataError, match="not today"):
            InputStream().connect(stranger.address, timeout=30)
        thread.join()


@pytest.mark.parametrize("mode", ["plaindata", "sharedmem"])
def test_an_input_is_closed_while_another_thread_waits_in_it(mode):
    with OutputStream().configure(transfermode=mode, dtype="i8", shape=(10,)) as out:
        inp = InputStream().connect(out)
        out.send(np.zeros(10, "i8"))
        inp.recv(60)
        with ThreadPoolExecutor(1) as others:
            waiting = others.submit(inp.recv)
            until(waiting.running)
            inp.close()
            with pytest.raises(ClosedError):
                waiting.result(30)


@pytest.mark.parametrize("mode", ["plaindata", "sharedmem"])
def test_an_output_is_closed_while_another_thread_waits_for_room(mode):
    out = OutputStream().configure(transfermode=mode, dtype="i8", shape=(10,), window=2, buffer_size=20)
    with InputStream().connect(out) as inp, ThreadPoolExecutor(1) as others:
        out.send(np.zeros(10, "i8"))
        inp.recv(60)

        def flood():
            while True:
                out.send(np.zeros(10, "i8"))

        waiting = others.submit(flood)
        until(lambda: out.statistics().readers[0].waiting >= 2)
        out.close()
        with pytest.raises(ClosedError):
            waiting.result(30)
