"""A Redis server is killed, comes back, stands still, is full, refuses: nothing hangs, nothing is lost silently."""

import functools
import os
import signal
import time

import numpy as np
import pytest

from labdaq.errors import (
    LabdaqError,
    ResourceError,
    ScanNotFoundError,
    WaitTimeoutError,
)
from labdaq.store import DataStore, NumericStreamEncoder
from labdaq.store.redis import sender as sending
from labdaq.store.redis.serve import RedisServer
from labdaq.testing.redis import redis_server
from tests.store.redis.failing import PATIENCE_S, Sending, cli, kill, new_stream, raises_in_time, reconnected, until

# -------------------------------------------------------------------------------------------- restarts


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


# ----------------------------------------------------------------------------- dead, or standing still


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


# -------------------------------------------------------------------------------------------- refusals


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
