"""A Redis server is killed, comes back, stands still, is full, refuses: nothing hangs, nothing is lost silently."""

import contextlib
import functools
import os
import signal
import subprocess
import sys
import threading
import time
import warnings

import numpy as np
import pytest

from labdaq.errors import (
    BusyError,
    ClosedError,
    LabdaqError,
    ResourceError,
    ScanNotFoundError,
    WaitTimeoutError,
)
from labdaq.store import DataStore, JsonStreamEncoder, NumericStreamEncoder
from labdaq.store.redis import sender as sending
from labdaq.store.redis.serve import RedisServer
from labdaq.testing.redis import redis_server

PATIENCE_S = 0.4
LATE_S = 20.0


@pytest.fixture
def server():
    with redis_server() as server:
        yield server


@pytest.fixture
def store(server):
    store = DataStore(server.url, patience_s=PATIENCE_S)
    yield store
    with contextlib.suppress(ResourceError):  # the tests in which points are lost look at it themselves
        store.close()


def until(condition, patience=LATE_S):
    deadline = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.005)


def new_stream(store, encoder=None):
    scan = store.create_scan({"name": "muon", "number": 1, "data_policy": "none"})
    stream = scan.create_stream("s", encoder or NumericStreamEncoder(float))
    scan.prepare()
    return scan, stream


def kill(server):
    os.kill(server.pid, signal.SIGKILL)
    assert server.wait(LATE_S)


def cli(server, *command):
    with DataStore(server.url) as store:
        return store.engine._link.call(*command)


def raises_in_time(error, call, match=None):
    began = time.monotonic()
    with pytest.raises(error, match=match) as caught:
        call()
    assert time.monotonic() - began < PATIENCE_S + 1
    return caught.value


class Sending:
    """A thread that sends 0, 1, 2 … until it is told to end; it tries again what was refused."""

    def __init__(self, stream):
        self.stream, self.nsent, self.nrefused = stream, 0, 0
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self):
        while not self._ending.is_set():
            try:
                self.stream.send(float(self.nsent))
                self.nsent += 1
            except ResourceError:
                self.nrefused += 1
            time.sleep(0.0005)

    def wait(self, more):
        target = self.nsent + more
        until(lambda: self.nsent >= target)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *exception):
        self._ending.set()
        self._thread.join()


def reconnected(store, times):
    return store.engine.statistics().reconnects >= times


# ------------------------------------------------------------------------------------------ restarts


def test_killed_and_restarted_with_its_data(tmp_path):
    with redis_server(folder=tmp_path, keep=True) as first, DataStore(first.url, patience_s=10) as store:
        server = first
        cli(server, "CONFIG", "SET", "appendfsync", "always")
        _scan, stream = new_stream(store)
        with Sending(stream) as sending:
            for nrestart in range(1, 4):
                sending.wait(100)
                kill(server)
                sending.wait(20)  # they wait
                server = RedisServer(tmp_path, port=server.port, keep=True)
                cli(server, "CONFIG", "SET", "appendfsync", "always")
                until(functools.partial(reconnected, store, nrestart))
        stream.join()
        assert np.array_equal(stream[:], np.arange(sending.nsent))
        assert sending.nrefused == 0
        statistics = store.engine.statistics()
        assert statistics.sent == sending.nsent
        assert statistics.lost == statistics.pending == 0
        assert stream.seal() == sending.nsent
        store.close()
        server.stop()


def test_restarted_without_its_data(server, store):
    scan, stream = new_stream(store)
    stream.send([1.0, 2.0])
    stream.join()
    kill(server)
    stream.send([3.0, 4.0, 5.0])
    with RedisServer(port=server.port):
        raises_in_time(ScanNotFoundError, stream.join, "came back without it; 3 points .* lost")
        raises_in_time(ScanNotFoundError, lambda: stream.send(6.0))
        raises_in_time(ScanNotFoundError, lambda: len(stream))
        raises_in_time(ScanNotFoundError, lambda: store.load_scan(scan.key))
        assert store.engine.statistics().lost == 3
        _scan, another = new_stream(store)  # the store itself goes on
        another.send(1.0)
        another.join()
        store.close()  # all losses were told


def test_restarted_with_older_data(server, store):
    _scan, stream = new_stream(store)
    stream.send([1.0, 2.0])
    stream.join()
    keys = cli(server, "KEYS", "*")
    dump = [cli(server, "DUMP", key) for key in keys]
    stream.send([3.0, 4.0, 5.0])
    stream.join()
    kill(server)
    stream.send([6.0])
    with RedisServer() as elsewhere:  # nobody can reach it while its data are put back
        for key, data in zip(keys, dump, strict=True):
            cli(elsewhere, "RESTORE", key, 0, data, "REPLACE")
        cli(elsewhere, "CONFIG", "SET", "port", server.port)
        error = raises_in_time(LabdaqError, stream.join, "has 2 points on the server, of 5 .* 1 points .* lost")
        assert type(error).__name__ == "DataError"
        assert stream[:].tolist() == [1.0, 2.0]


# --------------------------------------------------------------------------------- dead, or standing still


def calls_that_need_the_server(store, scan, stream):
    yield lambda: len(stream)
    yield lambda: stream[0]
    yield stream.join
    yield stream.seal
    yield lambda: stream.cursor().read()
    yield lambda: store.create_scan({"name": "muon", "number": 2, "data_policy": "none"})
    yield lambda: store.load_scan(scan.key)
    yield store.search_existing_scans
    yield lambda: store.get_next_scan(timeout=30)
    yield scan.start
    yield lambda: store.delete_scan(scan.key, force=True)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "suspended"])
def test_every_call_says_so_in_time(server, store, how):
    scan, stream = new_stream(store)
    stream.send(1.0)
    stream.join()
    os.kill(server.pid, how)
    stream.send([2.0, 3.0])
    raises_in_time(WaitTimeoutError, lambda: stream.join(0.05), "2 points of stream 's'")
    for call in calls_that_need_the_server(store, scan, stream):
        raises_in_time(ResourceError, call)
    raises_in_time(ResourceError, lambda: stream.send(4.0), "2 points of stream 's' wait")
    raises_in_time(ResourceError, lambda: DataStore(server.url, patience_s=PATIENCE_S))
    raises_in_time(ResourceError, store.close, "^2 points that were sent .* lost")
    store.close()  # nothing more


def test_a_server_that_goes_on(server, store):
    _scan, stream = new_stream(store)
    stream.send(0.0)
    stream.join()
    os.kill(server.pid, signal.SIGSTOP)
    stream.send(1.0)
    raises_in_time(ResourceError, stream.join, "has not answered")
    raises_in_time(ResourceError, lambda: stream.send(9.0))
    os.kill(server.pid, signal.SIGCONT)
    until(lambda: store.engine.statistics().pending == 0)
    stream.send(2.0)
    assert stream.seal() == 3
    assert stream[:].tolist() == [0.0, 1.0, 2.0]
    assert store.engine.statistics().retried >= 1


def test_a_writer_that_is_closed_while_the_server_is_dead(server, store):
    _scan, stream = new_stream(store)
    stream.send(0.0)
    stream.join()
    kill(server)
    stream.send([1.0, 2.0])
    raises_in_time(ResourceError, stream.close, "^2 points of stream 's' are lost")
    store.close()
    assert store.engine.statistics().lost == 2


def test_one_writer_gives_up_while_the_server_stands_still(server, store):
    scan, one = new_stream(store)
    two = scan.create_stream("two", NumericStreamEncoder(float))
    for stream in (one, two):
        stream.send(0.0)
        stream.join()
    os.kill(server.pid, signal.SIGSTOP)
    one.send([1.0, 2.0])
    two.send([1.0, 2.0])
    raises_in_time(ResourceError, one.close, "^2 points")
    os.kill(server.pid, signal.SIGCONT)
    two.join()
    two.send(3.0)
    assert two.seal() == 4
    assert two[:].tolist() == [0.0, 1.0, 2.0, 3.0]
    assert one[:].tolist() in ([0.0], [0.0, 1.0, 2.0])  # nobody knows what the server had before it stood still


def test_too_much_waits(server, store, monkeypatch):
    monkeypatch.setattr(sending, "QUEUE_NBYTES", 100_000)
    _scan, stream = new_stream(store, NumericStreamEncoder("u1", (10_000,)))
    stream.send(np.zeros(10_000, "u1"))
    stream.join()
    os.kill(server.pid, signal.SIGSTOP)

    def send_many():
        for number in range(1, 100):
            stream.send(np.full(10_000, number, "u1"))

    try:
        raises_in_time(ResourceError, send_many, "10 points of stream 's' (wait|among them)")
    finally:
        os.kill(server.pid, signal.SIGCONT)
    stream.join()
    assert np.array_equal(stream[:][:, 0], np.arange(11))


def test_a_slow_server_slows_the_sender_down(store, monkeypatch):
    monkeypatch.setattr(sending, "QUEUE_NBYTES", 50_000)
    _scan, stream = new_stream(store, NumericStreamEncoder("u1", (10_000,)))
    for number in range(200):
        stream.send(np.full(10_000, number, "u1"))
        assert store.engine.statistics().pending <= 5
    assert stream.seal() == 200
    assert np.array_equal(stream[:][:, 0], np.arange(200))


@pytest.mark.parametrize("nbytes", [6_000, 20_000, 100_000, 150_000])
def test_memory_is_full(nbytes):
    total = 2**24 // nbytes
    with redis_server(max_nbytes=2**23) as server, DataStore(server.url, patience_s=PATIENCE_S) as store:
        _scan, stream = new_stream(store, NumericStreamEncoder("u1", (nbytes,)))

        def send_much():
            for number in range(total):
                stream.send(np.full(nbytes, number % 256, "u1"))
            stream.join()

        raises_in_time(ResourceError, send_much, "refuses: .*memory.*points of stream 's' wait")
        there = len(stream)
        assert there < total
        cli(server, "CONFIG", "SET", "maxmemory", 0)
        stream.join()
        points = stream[:][:, 0]
        assert len(points) >= there
        assert np.array_equal(points, np.arange(len(points)) % 256)
        assert store.engine.statistics().lost == 0


def test_what_works_while_memory_is_full(server, store):
    scan, stream = new_stream(store, NumericStreamEncoder("u1", (5000,)))
    given_up = scan.create_stream("given up", NumericStreamEncoder(float))
    for batch in range(4):
        stream.send(np.full(5000, batch, "u1"))
        given_up.send(1.0)
    for each in (stream, given_up):
        each.join()
    cli(server, "CONFIG", "SET", "maxmemory", 2**20)
    raises_in_time(ResourceError, lambda: new_stream(store), "memory")
    with DataStore(server.url) as other:
        assert len(other.open_stream(stream.key)[:]) == 4
        assert store.engine.trim(stream.record, 2) == 10_000
        given_up.close()
        assert stream.seal() == 4
        assert other.open_stream(stream.key)[2:].shape == (2, 5000)
        assert stream.log.lost_writer() is given_up.log.lost_writer() is None
        assert other.delete_scan(scan.key, force=True)


# ------------------------------------------------------------------------------------------- refusals


def test_a_wrong_password():
    with redis_server(password="right? 'yes' \"no\"/@") as server:
        with DataStore(server.url) as store:
            assert store.get_scans_state([]) == {}
            assert "yes" not in store.url
        for address in (f"redis://:wrong@127.0.0.1:{server.port}", f"redis://127.0.0.1:{server.port}"):
            for protocol in (2, 3):
                began = time.monotonic()
                with pytest.raises(ResourceError, match="refuses") as caught:
                    DataStore(f"{address}?protocol={protocol}")
                assert time.monotonic() - began < 2
                assert "wrong@" not in str(caught.value)


def test_nobody_listens():
    began = time.monotonic()
    with pytest.raises(ResourceError, match="cannot be reached"):
        DataStore("redis://127.0.0.1:1")
    assert time.monotonic() - began < 2


# ------------------------------------------------------------------------------------ one writer at a time


def writer_key(stream):
    return f"{stream.key}:writer"


def test_two_writers(server, store):
    _scan, stream = new_stream(store)
    stream.send(0.0)
    with DataStore(server.url) as other:
        theirs = other.open_stream(stream.key, write=True)
        with pytest.raises(BusyError, match=f"process {os.getpid()} of "):
            theirs.send(1.0)
        stream.close()
        theirs.send(1.0)
        assert theirs.seal() == 2


def test_a_claim_that_expired_and_nobody_came(server, store):
    _scan, stream = new_stream(store)
    stream.send(0.0)
    stream.join()
    cli(server, "DEL", writer_key(stream))
    assert stream.log.lost_writer() is None  # not so soon
    stream.send(1.0)
    assert stream.seal() == 2
    assert stream.log.lost_writer() is None


def test_a_writer_that_was_suspended_and_replaced(server, store):
    _scan, stream = new_stream(store)
    stream.send(0.0)
    stream.join()
    reader = store.open_stream(stream.key)
    assert len(reader) == 1
    cli(server, "DEL", writer_key(stream))
    with DataStore(server.url) as other:
        theirs = other.open_stream(stream.key, write=True)
        theirs.send([1.0, 2.0])
        theirs.join()
        stream.send([70.0, 71.0, 72.0])
        raises_in_time(BusyError, stream.join, f"written by process {os.getpid()} of .*; 3 points .* lost")
        raises_in_time(BusyError, lambda: stream.send(73.0))
        theirs.send(3.0)
        assert theirs.seal() == 4
    assert reader[:].tolist() == [0.0, 1.0, 2.0, 3.0]
    assert store.engine.statistics().lost == 3


def test_a_writer_that_was_replaced_before_all_of_its_points_came(server, store):
    """What a suspended server, or network, still holds of the old writer must not come between."""
    _scan, stream = new_stream(store, NumericStreamEncoder("u1", (5000,)))
    stream.send(np.zeros(5000, "u1"))
    stream.join()
    box = stream._writer._box
    old = [bytes(piece) for piece in late_commands(box)]
    cli(server, "DEL", writer_key(stream))
    with DataStore(server.url) as other:
        theirs = other.open_stream(stream.key, write=True)
        theirs.send(np.ones(5000, "u1"))
        theirs.join()
        connection = store.engine._link.new_connection(1.0)
        connection.connect()
        connection.send_packed_command(old)
        replies = [connection.read_response() for _ in range(5)]
        connection.disconnect()
        *added, commit = replies[-1]
        assert added == [None, None]
        assert commit[0] == b"busy"
        theirs.send(np.full(5000, 2, "u1"))
        assert theirs.seal() == 3
        assert theirs[:][:, 0].tolist() == [0, 1, 2]


def late_commands(box):
    """What a writer would send next, were it not stopped; two entries."""
    from labdaq.store.redis.outbox import Outbox

    late = Outbox(
        box.key,
        box.name,
        box.token,
        place=box._add.split(b"\r\n")[4].rpartition(b":")[2].decode(),
        point_nbytes=5000,
        length=box.length,
        nbytes=box.nbytes,
    )
    for value in (7, 8):
        late.add(np.full(5000, value, "u1").data, 1, time.time_ns())
    late.take(10**9)
    return late.commands(late.sent)


def test_deleted_while_it_is_written(server, store):
    scan, stream = new_stream(store)
    stream.send(0.0)
    stream.join()
    with DataStore(server.url) as other:
        assert other.delete_scan(scan.key, force=True)
    stream.send([1.0, 2.0])
    raises_in_time(ScanNotFoundError, stream.join, "deleted with its scan.*2 points")
    raises_in_time(ScanNotFoundError, lambda: stream[0])
    assert cli(server, "KEYS", "labdaq:stream*") == []
    assert store.engine.usage() == {}


def test_a_loss_that_nobody_was_told_of(server, store):
    scan, stream = new_stream(store)
    stream.send(0.0)
    stream.join()
    store.delete_scan(scan.key, force=True)
    stream.send([1.0, 2.0])
    until(lambda: store.engine.statistics().lost == 2)
    raises_in_time(ResourceError, store.close, "^2 points")


# ------------------------------------------------------------------------------- processes, threads, ends


def test_a_forked_child_opens_its_own(server, store):
    _scan, stream = new_stream(store)
    stream.send(0.0)
    stream.join()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # this process has threads
        pid = os.fork()
    if pid == 0:
        status = 1
        try:
            stream.send(1.0)
        except BusyError:
            length = len(stream)  # reading goes on, over connections of its own
            store.close()
            status = 0 if length == 1 else 2
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    stream.send(1.0)
    assert stream.seal() == 2


def test_a_program_that_ends_without_closing(server, store):
    script = f"""
from labdaq.store import *
store = DataStore({server.url!r})
scan = store.create_scan({{"name": "ended", "number": 1, "data_policy": "none"}})
stream = scan.create_stream("s", JsonStreamEncoder())
scan.prepare()
for number in range(1000):
    stream.send(number)
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=LATE_S)
    _tag, (key,) = store.search_existing_scans(name="ended")
    stream = store.load_scan(key).streams["s"]
    assert stream[:] == list(range(1000))
    assert store.open_stream(stream.key, write=True).seal() == 1000  # it was given up


def test_ctrl_c_while_waiting(store):
    _scan, stream = new_stream(store)
    cursor = stream.cursor()
    timer = threading.Timer(0.2, signal.pthread_kill, (threading.main_thread().ident, signal.SIGINT))
    timer.start()
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        cursor.read()
    assert time.monotonic() - began < 1
    timer.join()
    stream.send(1.0)
    assert cursor.read()[1].tolist() == [1.0]


def test_closed_while_waiting(store):
    _scan, stream = new_stream(store)
    errors = []

    def read():
        try:
            stream.cursor().read()
        except ClosedError as error:
            errors.append(error)

    thread = threading.Thread(target=read)
    thread.start()
    until(lambda: store.engine._link._used)
    began = time.monotonic()
    store.close()
    thread.join()
    assert time.monotonic() - began < 1
    assert len(errors) == 1


def test_nothing_survives_close(store):
    _scan, stream = new_stream(store, JsonStreamEncoder())
    stream.send("last words")
    store.close()
    assert "labdaq-redis-sender" not in {thread.name for thread in threading.enumerate()}
    for call in (lambda: stream.send(1), lambda: len(stream), stream.join, store.get_last_scan):
        with pytest.raises(ClosedError):
            call()
    stream.close()


def test_readers_survive_a_restart(tmp_path):
    with redis_server(folder=tmp_path, keep=True) as server, DataStore(server.url, patience_s=10) as store:
        _scan, stream = new_stream(store)
        stream.send([0.0, 1.0])
        stream.join()
        cursor = stream.cursor()
        assert len(cursor.read()[1]) == 2
        found = []
        thread = threading.Thread(target=lambda: found.append(cursor.read(timeout=LATE_S)))
        thread.start()
        os.kill(server.pid, signal.SIGTERM)
        assert server.wait(LATE_S)
        with RedisServer(tmp_path, port=server.port, keep=True):
            stream.send(2.0)
            stream.join()
            thread.join()
            assert found[0][0] == 2
            store.close()
