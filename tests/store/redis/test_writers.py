"""One writer at a time, whatever becomes of it, of its server, and of its process."""

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
    ResourceError,
    ScanNotFoundError,
)
from labdaq.store import DataStore, JsonStreamEncoder, NumericStreamEncoder
from labdaq.store.redis.serve import RedisServer
from labdaq.testing.redis import redis_server
from tests.store.redis.failing import LATE_S, cli, new_stream, raises_in_time, until


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


# ---------------------------------------------------------------------------- processes, threads, ends


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
