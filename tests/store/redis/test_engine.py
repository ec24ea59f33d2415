"""A store on a real Redis server."""

import itertools
import pickle
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from labdaq.errors import DataError, LayoutError, MissingExtraError, ResourceError
from labdaq.store import DataStore, JsonStreamEncoder, NumericStreamEncoder
from labdaq.store.engine import ScanRecord
from labdaq.store.identity import Query
from labdaq.store.keys import new_key
from labdaq.store.matching import matches
from labdaq.store.redis import outbox
from labdaq.store.statistics import StoreStatistics
from labdaq.testing.redis import redis_server
from labdaq.testing.stores.cursors import CursorTests
from labdaq.testing.stores.scans import ScanTests
from labdaq.testing.stores.streams import WriterTests


@pytest.fixture(scope="module")
def server():
    with redis_server() as server:
        yield server


class _OnRedis:
    is_shared_by_processes = True
    batch_nbytes = 8192  # smaller ones may be kept together
    protocol = 3

    @pytest.fixture
    def new_store(self, server):
        with DataStore(f"{server.url}?protocol={self.protocol}", patience_s=5) as store:
            store.engine._link.call("FLUSHALL")
        with DataStore(f"{server.url}?protocol={self.protocol}", patience_s=5) as store:
            yield store


class _OldProtocol:
    protocol = 2


class TestScansOverTheOldProtocol(_OldProtocol, _OnRedis, ScanTests):
    pass


class TestStreamsOverTheOldProtocol(_OldProtocol, _OnRedis, WriterTests, CursorTests):
    pass


@pytest.fixture
def store(server):
    with DataStore(server.url, patience_s=5) as store:
        yield store


@pytest.fixture
def new_stream(store):
    scan = store.create_scan({"name": "muon", "number": 1, "data_policy": "none"})
    names = (f"s{number}" for number in itertools.count())
    return lambda encoder: scan.create_stream(next(names), encoder)


def entries_of(store, stream):
    """Index and bytes of each entry on the server."""
    call = store.engine._link.call
    (place,) = (key for key in call("KEYS", f"{stream.key}:*") if key.rpartition(b":")[2].isdigit())
    return [(int(number.split(b"-")[0]), len(fields[3])) for number, fields in call("XRANGE", place, "-", "+")]


def test_importing_the_store_does_not_import_redis():
    script = "import sys, labdaq, labdaq.store; sys.exit('redis' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script]).returncode == 0


def test_without_the_package_the_error_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "redis", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'labdaq\[redis\]'"):
        DataStore("redis://localhost")


@pytest.mark.parametrize("url", ["redis://localhost:99999", "redis://localhost?nonsense=1", "redis://h:x"])
def test_addresses_that_are_none(url):
    with pytest.raises(LayoutError, match="address"):
        DataStore(url)


def test_the_database_of_another_version_is_refused(server):
    with DataStore(server.url + "/3") as store:
        store.engine._link.call("SET", "labdaq:format", "77")
    with pytest.raises(ResourceError, match="another version"):
        DataStore(server.url + "/3")


def test_small_batches_share_entries_and_nothing_else_does(store, new_stream):
    numbers, notes = new_stream(NumericStreamEncoder(float)), new_stream(JsonStreamEncoder())
    large = new_stream(NumericStreamEncoder(float))
    for number in range(500):
        numbers.send(float(number))
        notes.send(number)
    large.send(np.arange(3.0 * 2**20))  # 24 MiB
    for stream in (numbers, notes, large):
        stream.join()
    assert len(entries_of(store, numbers)) < 500
    assert len(entries_of(store, notes)) == 500
    assert entries_of(store, large) == [(0, 2**23), (2**20, 2**23), (2**21, 2**23)]
    assert np.array_equal(numbers[:], np.arange(500))
    assert np.array_equal(large[:], np.arange(3 * 2**20))
    assert np.array_equal(large[2**20 - 1 : 2**20 + 2], np.arange(2**20 - 1, 2**20 + 2))
    assert notes[:] == list(range(500))


def test_a_batch_that_redis_cannot_hold_is_refused(new_stream, monkeypatch):
    monkeypatch.setattr(outbox, "_LIMIT", 10_000)
    notes, vectors = new_stream(JsonStreamEncoder()), new_stream(NumericStreamEncoder("u1", (10_001,)))
    for stream, point in ((notes, "x" * 10_000), (vectors, np.zeros(10_001, "u1"))):
        with pytest.raises(LayoutError, match="too large for a Redis"):
            stream.send(point)
        assert len(stream) == 0


def test_a_hole_is_never_read_as_points(store, new_stream):
    stream = new_stream(NumericStreamEncoder("u1", (5000,)))
    for number in range(4):
        stream.send(np.full(5000, number, "u1"))
    stream.join()
    call = store.engine._link.call
    (place,) = (key for key in call("KEYS", f"{stream.key}:*") if key.rpartition(b":")[2].isdigit())
    call("XDEL", place, "2-1")
    assert len(stream[:2]) == 2
    for wanted in (slice(None), slice(2, 3), slice(2, None)):
        with pytest.raises(DataError, match="point 2 "):
            stream[wanted]
    call("DEL", place)
    with pytest.raises(DataError, match="missing"):
        stream[0]


def test_a_hundred_streams_need_one_thread(store, new_stream):
    before = threading.active_count()
    streams = [new_stream(NumericStreamEncoder(float)) for _ in range(100)]
    for number in range(20):
        for stream in streams:
            stream.send(float(number))
    assert threading.active_count() == before + 1
    for stream in streams:
        stream.join()
    assert {tuple(stream[:]) for stream in streams} == {tuple(map(float, range(20)))}
    assert store.engine.statistics() == StoreStatistics(sent=2000, pending=0, retried=0, lost=0, reconnects=0)


def test_the_time_of_points_is_kept(store, new_stream):
    stream = new_stream(JsonStreamEncoder())
    times = []
    for number in range(20):
        stream.send(number)
        times.append(time.time_ns())
    stream.join()
    assert [store.engine.journal(stream.record, at) for at in times] == list(range(1, 21))
    assert store.engine.journal(stream.record, 0) == 0


def test_bytes_are_counted(store, new_stream):
    stream = new_stream(NumericStreamEncoder("u1", (5000,)))
    for _ in range(4):
        stream.send(np.zeros(5000, "u1"))
    stream.join()
    assert store.engine.usage()[stream.key] == 20_000
    assert store.engine.trim(stream.record, 3) == 15_000
    assert store.engine.usage()[stream.key] == 5000
    assert stream.extent() == (3, 4, False)


def test_an_engine_that_was_pickled_is_another_one(store):
    again = pickle.loads(pickle.dumps(store.engine))
    try:
        assert again.url == store.url
        assert again.last_tag() == store.engine.last_tag()
        assert again._link is not store.engine._link
    finally:
        again.close()


def test_addresses_do_not_show_the_password(server):
    with DataStore(f"redis://default:nothing@127.0.0.1:{server.port}?password=nothing") as store:
        assert "nothing" not in store.url + repr(store)


def test_search_is_what_matches_says(store):
    words = ["", "a", "a ", "ab", "abc", "b", "ä", "äb", "\uffff", "\U0001f600", "a\x01", "a\x7f"]
    numbers = [-(2**53), -1.5, -0.0, 0, 0.1, 1, 2**53]
    records = []
    tag = store.engine.last_tag()
    for number, (word, value) in enumerate(itertools.product(words, [*numbers, None, "0"])):
        identity = {"name": word, "number": number, "data_policy": "none", "own": value}
        records.append(ScanRecord(new_key("scan"), 1_700_000_000_000_000_000 + number * 100, identity))
        store.engine.add(records[-1])
    ends = [None, *words]
    queries = [Query(exact={"name": word}) for word in words]
    queries += [Query(prefix={"name": word}) for word in words]
    queries += [Query(ranges={"name": both}) for both in itertools.product(ends, ends)]
    queries += [Query(exact={"own": value}) for value in [*numbers, "0"]]
    queries += [Query(ranges={"own": both}) for both in itertools.product([None, *numbers], repeat=2)]
    queries += [Query(ranges={"own": ("0", None)}), Query(ranges={"own": (None, "0")}), Query(ranges={"own": (1, "0")})]
    made = [None, *(record.created_ns + off for record in records[::40] for off in (-1, 0, 1))]
    queries += [Query(created_ns=both) for both in itertools.product(made, made)]
    queries += [Query(created_ns=(None, -1)), Query(created_ns=(-1, 10**30))]
    queries += [Query(prefix={"name": "a"}, ranges={"own": (0, 1), "number": (3, 60)}, exact={"data_policy": "none"})]
    queries += [Query(exact={"data_policy": "none"}, newest_first=True, limit=limit) for limit in (0, 1, 7, 1000)]
    since = {record.key for record in records}
    for query in queries:
        expected = [record.key for record in records if matches(record, query)]
        last, found = store.engine.search(query)
        expected = expected[::-1] if query.newest_first else expected
        assert [key for key in found if key in since] == expected[: query.limit], query
        assert last == store.engine.last_tag()
    assert store.engine.next_scan(tag)[1] == records[0].key
