"""Servers that are not Redis, databases that hold what nobody here wrote: errors of our own, which say what to do."""

import contextlib
import json
import logging
import os
import signal
import socket
import struct
import threading
import traceback

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from labdaq.errors import ClosedError, DataError, LabdaqError, LayoutError, NoScanAvailable, ResourceError
from labdaq.store import DataStore, NumericStreamEncoder
from labdaq.store.keys import new_key
from labdaq.store.redis.link import Link, hidden
from labdaq.store.redis.outbox import Outbox
from labdaq.store.redis.replies import author_of, fields_of, numbers_of
from labdaq.store.redis.scripts import CLAIM, RELEASE, RENEW, TRIM, stream_keys
from labdaq.store.states import ScanState
from labdaq.testing.redis import redis_server

# ------------------------------------------------------------------------------- servers that are no Redis


@contextlib.contextmanager
def stranger(answer, port=0):
    """A server that says the same to everybody, whatever he asks; its port."""
    with socket.create_server(("127.0.0.1", port)) as server:
        ending = threading.Event()

        def serve():
            while not ending.is_set():
                client, _address = server.accept()
                with client, contextlib.suppress(OSError):
                    client.settimeout(2)
                    while not ending.is_set() and client.recv(65536):
                        client.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            ending.set()
            with contextlib.suppress(OSError):
                socket.create_connection(server.getsockname(), 1).close()
            thread.join()


ANSWERS = {
    "http": b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n",
    "ssh": b"SSH-2.0-OpenSSH_9.2\r\n",
    "bytes": b"\xff\xfe\xfd\r\n",
    "ok": b"+OK\r\n" * 50,
    "number": b":5\r\n" * 50,
    "no number": b":notint\r\n",
    "text": b"$2\r\nab\r\n" * 50,
    "short": b"*1\r\n$2\r\nab\r\n" * 50,
}


@pytest.mark.parametrize("protocol", [2, 3])
@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
def test_a_server_that_is_no_redis(answer, protocol):
    pytest.importorskip("redis")
    with stranger(answer) as port:
        with pytest.raises(ResourceError, match=rf"127\.0\.0\.1:{port}\?.* is this a Redis server"):
            DataStore(f"redis://127.0.0.1:{port}?protocol={protocol}", patience_s=0.5)


@pytest.mark.parametrize(
    "answer", [b"-\xff\xfe\r\n" * 50, b"%1\r\n+a\r\n+b\r\n" * 50, b"*99999999999\r\n", b"$-5\r\n", b""]
)
def test_a_server_that_says_something_strange(answer):
    pytest.importorskip("redis")
    with stranger(answer) as port:
        with pytest.raises(ResourceError, match=f"127.0.0.1:{port}"):
            DataStore(f"redis://127.0.0.1:{port}", patience_s=0.5)


def test_another_server_at_the_same_port():
    with redis_server() as server, DataStore(server.url, patience_s=0.4) as store:
        _scan, stream = new_stream(store)
        stream.send(0.0)
        stream.join()
        os.kill(server.pid, signal.SIGKILL)
        server.wait(10)
        with stranger(ANSWERS["http"], server.port):
            with pytest.raises(ResourceError, match="is this a Redis server"):
                len(stream)
            stream.send(1.0)
            with pytest.raises(ResourceError, match=r"1 points .* wait: .*is this a Redis server"):
                stream.join()
            with pytest.raises(ResourceError, match=r"^1 points"):
                store.close()


@pytest.mark.parametrize("protocol", [2, 3])
def test_a_server_wants_a_password(protocol):
    with redis_server(password="secret") as server:
        with pytest.raises(ResourceError, match=r"refuses: it wants a password: .* redis://:password@host") as caught:
            DataStore(f"redis://127.0.0.1:{server.port}?protocol={protocol}")
        assert "HELLO" not in str(caught.value)


# ------------------------------------------------------------------------------------------- addresses


@pytest.mark.parametrize(
    "url",
    [
        "redis://:secret@[::1",
        "redis://:12/secret@host:6379",
        "redis://:12#secret@host:6379",
        "redis://:secret/secret@host:6379",
        "redis://:secret#secret@host:6379/0",
        "redis://:secret\u2100@host",
        "redis://:secret@host:99999",
        "redis://:secret@host?protocol=9",
        "redis://host:x?password=secret",
        "redis://[secret@host",
    ],
)
def test_passwords_in_addresses_that_are_none_stay_hidden(url):
    pytest.importorskip("redis")
    assert "secret" not in hidden(url)
    with pytest.raises((LayoutError, ResourceError)) as caught:
        DataStore(url, patience_s=0.1)
    assert "secret" not in "".join(traceback.format_exception_only(caught.value))
    assert "secret" not in str(caught.value.__cause__)


@pytest.mark.parametrize("url", ["redis://:x@[::1", "redis://[::1", "redis://h?protocol=9", "redis://h?protocol=x"])
def test_addresses_that_are_none(url):
    pytest.importorskip("redis")
    with pytest.raises(LayoutError, match="is no address of a Redis server"):
        DataStore(url)


def test_addresses_are_shown_as_they_were_given():
    for url in ("redis://host:1/2", "redis://", "unix:///tmp/a@b?db=3", "unix:///x", "redis://[::1]:5", "redis://a..b"):
        assert hidden(url) == url
    assert hidden("unix://ada:x@/tmp/a") == "unix://ada:***@/tmp/a"


@given(st.text())
def test_any_text_can_be_hidden(text):
    for url in (text, f"redis://{text}", f"redis://:secret@{text}"):
        assert "secret" not in hidden(url) or "secret" in text


# --------------------------------------------------------------------------------------- strange values


@pytest.fixture(scope="module")
def server():
    with redis_server() as server:
        yield server


@pytest.fixture
def store(server):
    link = Link(server.url, 5)
    link.call("FLUSHALL")
    link.close()
    with DataStore(server.url, patience_s=5) as store:
        yield store


@pytest.fixture
def call(store):
    return store.engine._link.call


def new_stream(store):
    scan = store.create_scan({"name": "muon", "number": 1, "data_policy": "none"})
    stream = scan.create_stream("s", NumericStreamEncoder(float))
    scan.prepare()
    return scan, stream


def closed_scan(store):
    scan, stream = new_stream(store)
    scan.start()
    stream.send([1.0, 2.0])
    scan.stop()
    scan.close()
    return scan.key, stream.key


STREAM = {"key": new_key("stream"), "scan_key": new_key("scan"), "name": "s", "encoding": {}, "info": {}}
SCANS = [
    ("created_ns", [b"z", b"", b"-1", b"1.5", b"1" * 30, b"1_0"]),
    (
        "identity",
        [b"[1]", b"{}", b"5", b"null", b"xx", b"\xff", b'{"name":1,"number":1,"data_policy":"n"}', b"[" * 9999],
    ),
    ("identity", [b'{"name":"a","number":1,"data_policy":"n","bad name":1}', b'"name"', b'["name"]']),
    ("identity", [b'{"name":"a","number":%d,"data_policy":"n"}' % 10**400]),
    ("info", [b"5", b"\xff\xff", b"null", b"[]", b'"x"']),
    ("state", [b"xx", b"77", b"-1", b"", b" 1", b"\xff"]),
    ("streams", [b"{}", b"null", b"[5]", b'[{"key":1}]', b"xx", b'"s"']),
    ("streams", [json.dumps([{**STREAM, name: 5}]).encode() for name in STREAM]),
    ("streams", [json.dumps([{**STREAM, name: f"{STREAM[name]}:x"}]).encode() for name in ("key", "scan_key")]),
    ("streams", [json.dumps([{**STREAM, "key": STREAM["scan_key"]}]).encode()]),
]


@pytest.mark.parametrize(("field", "values"), SCANS)
def test_a_scan_that_is_damaged(store, call, field, values):
    key, _stream = closed_scan(store)
    for value in values:
        call("HSET", key, field, value)
        with pytest.raises(DataError, match=f"{key}.*(store.engine.remove|delete_scan)"):
            store.load_scan(key)
        if field == "state":
            with pytest.raises(DataError, match=f"state of {key}"):
                store.get_scans_state([key])
        else:
            assert store.get_scans_state([key]) == {key: ScanState.CLOSED}
    call("HDEL", key, field)
    with pytest.raises(DataError, match=key):
        store.load_scan(key)


def test_a_scan_that_is_damaged_can_be_removed(store, call):
    key, stream = closed_scan(store)
    call("HSET", key, "identity", "[1]")
    call("XADD", stream_keys(stream)[1], "*", "e", "a b c")
    call("SADD", f"{key}:declared", "*", "labdaq:scan")
    other, _stream = closed_scan(store)
    assert store.delete_scan(key)
    assert [name for name in call("KEYS", "*") if key.encode() in name or stream.encode() in name] == []
    assert store.search_existing_scans(name="muon")[1] == store.search_existing_scans()[1] == [other]
    assert len(store.load_scan(other).streams["s"]) == 2
    assert store.get_last_scan()[1] == other


def test_a_state_is_not_changed_from_one_that_is_damaged(store, call):
    scan, _stream = new_stream(store)
    call("HSET", scan.key, "state", "xx")
    with pytest.raises(DataError, match=scan.key):
        scan.start()
    store.engine.remove(scan.key)
    assert store.search_existing_scans()[1] == []


@pytest.mark.parametrize("value", [b"5", b"{}", b"xx", b"\xff", b"null", json.dumps(STREAM).encode(), b"[" * 9999])
def test_a_stream_that_is_described_wrongly(store, call, value):
    _scan, key = closed_scan(store)
    call("HSET", f"{key}:about", "record", value)
    with pytest.raises(DataError, match=f"{key}:about .*delete the scan"):
        store.open_stream(key)


WRONG_EXTENTS = [
    b"a b c", b"1", b"", b"-5 2 16 0 1 1", b"0 9999999999999999999999 16 0 1 1", b"5 2 16 0 1 1", b"0 2 16 17 1 1",
    b"0 2 16 0 2 1", b"0 2 16 0 1", b"0 2 16 0 1 1 1", b"0  2 16 0 1 1", b"0 02 16 0 1 1", b"0 2 16 0 1 1\n",
    b"0 9007199254740993 16 0 1 1", b"0 2 16 0 1 -1", b"\xff\xff", b"0 1_0 16 0 1 1",
]  # fmt: skip


@pytest.mark.parametrize("text", WRONG_EXTENTS)
def test_an_extent_that_cannot_be(store, call, caplog, text):
    scan_key, key = closed_scan(store)
    _scan, other = closed_scan(store)
    stream = store.load_scan(scan_key).streams["s"]
    call("XADD", f"{key}:extent", "*", "e", text)
    reads = [lambda: len(stream), lambda: stream[:], lambda: stream[0], stream.is_sealed]
    reads += [lambda: stream.cursor().read(timeout=1), lambda: store.engine.extents([stream.log])]
    reads += [lambda: store.engine.trim(stream.record, 1), lambda: store.engine.journal(stream.record, 0)]
    reads += [lambda: store.open_stream(key, write=True).send(1.0), store.open_stream(key, write=True).seal]
    for read in reads:
        with pytest.raises(DataError, match=f"{key}:extent.*delete"):
            read()
    with caplog.at_level(logging.WARNING, "labdaq.store"):
        for _ in range(2):
            assert store.engine.usage() == {other: 16}
    assert [record.getMessage().count(key) for record in caplog.records] == [1]
    assert store.delete_scan(scan_key)
    assert [name for name in call("KEYS", "*") if key.encode() in name] == []


def test_a_writer_hears_that_its_extent_was_damaged(store, call):
    _scan, stream = new_stream(store)
    stream.send(1.0)
    stream.join()
    call("XADD", f"{stream.key}:extent", "*", "e", "5 1 8 0 0 1")
    stream.send(2.0)
    with pytest.raises(DataError, match=f"{stream.key}:extent.* 1 points that were on their way are lost"):
        stream.join()
    with contextlib.suppress(LabdaqError):
        stream.close()


TEXTS = st.one_of(
    st.lists(st.integers(-2, 2**53 + 2) | st.integers(0, 3), min_size=5, max_size=7).map(
        lambda numbers: " ".join(map(str, numbers)).encode()
    ),
    st.text("0123456789 -+.e_\0\n", max_size=30).map(str.encode),
    st.binary(max_size=30),
    st.tuples(*[st.sampled_from([0, 1, 2, 16, 2**53 - 1, 2**53, 2**53 + 1, 10**15, 10**16, 10**22])] * 6).map(
        lambda numbers: " ".join(map(str, numbers)).encode()
    ),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(text=TEXTS, mark=st.sampled_from([b"e", b"e", b"x"]))
def test_scripts_and_readers_agree_on_which_extents_are_damaged(store, call, text, mark):
    key = new_key("stream")
    _batches, extent, *_more = keys = stream_keys(key)
    call("XADD", extent, "*", mark, text)
    entry = call("XREVRANGE", extent, "+", "-", "COUNT", 1)
    run = store.engine._link.run
    said = [run(script, keys, ["token", *more]) for script, more in ((CLAIM, ["me", 99]), (RENEW, ["me", 99]))]
    said += [run(TRIM, keys, [0])]
    assert run(RELEASE, keys, ["token"]) == [b"ok"]
    try:
        numbers = numbers_of(entry, key, "s")
    except DataError:
        assert said == [[b"damaged", extent.encode()]] * 3
        assert call("XREVRANGE", extent, "+", "-", "COUNT", 1) == entry
    else:
        assert 0 <= numbers.first <= numbers.length <= 2**53
        assert 0 <= numbers.trimmed <= numbers.nbytes <= 2**53
        assert said[0][0] == (b"sealed" if numbers.is_sealed else b"ok")
    call("UNLINK", *keys, *(name for name in call("KEYS", f"{key}:*")))


@given(st.integers(0, 2**53), st.integers(0, 2**53), st.booleans(), st.integers(0, 2**53), st.data())
def test_every_extent_that_can_be_is_read(length, nbytes, is_sealed, place, data):
    first, trimmed = data.draw(st.integers(0, length)), data.draw(st.integers(0, nbytes))
    text = f"{first} {length} {nbytes} {trimmed} {int(is_sealed)} {place}".encode()
    numbers = numbers_of([[b"1-1", [b"e", text]]], "labdaq:stream:x", "s")
    assert numbers == (first, length, nbytes, trimmed, is_sealed, place)
    assert numbers.extent == (first, length, is_sealed)


@pytest.mark.parametrize("about", [b"x", b"", struct.pack("<IQQ", 0, 0, 0), struct.pack("<IQQ", 1, 0, 99)])
def test_batches_that_are_damaged(store, call, about):
    scan_key, key = closed_scan(store)
    stream = store.load_scan(scan_key).streams["s"]
    (place,) = (name for name in call("KEYS", f"{key}:*") if name.rpartition(b":")[2].isdigit())
    call("DEL", place)
    call("XADD", place, "0-1", "m", about, "p", b"y" * 8)
    for read in (lambda: stream[:], lambda: stream[1]):
        with pytest.raises(DataError):
            read()
    with pytest.raises(DataError, match=key):
        store.engine.journal(stream.record, 0)
    with contextlib.suppress(DataError):
        store.engine.trim(stream.record, 1)
    call("XADD", place, "1-1", "one", "field")
    with pytest.raises(DataError, match=key):
        stream[1]


def test_another_type_of_value(store, call, caplog):
    scan_key, key = closed_scan(store)
    _scan, other = closed_scan(store)
    stream = store.load_scan(scan_key).streams["s"]
    call("DEL", f"{key}:extent")
    call("SET", f"{key}:extent", "x")
    for read in (lambda: len(stream), lambda: stream[:], lambda: store.engine.trim(stream.record, 1)):
        with pytest.raises(DataError, match=f"{key}:extent.*another type of value.*redis-cli"):
            read()
    with caplog.at_level(logging.WARNING, "labdaq.store"):
        assert store.engine.usage() == {other: 16}
    assert len(caplog.records) == 1
    assert store.delete_scan(scan_key)
    for name in (f"{other}:about", "labdaq:scans", "labdaq:scans:last", "labdaq:scans:order", "labdaq:fields", _scan):
        call("DEL", name)
        call("LPUSH" if name != "labdaq:fields" else "SADD", name, "x")
    uses = [lambda: store.open_stream(other), store.get_last_scan, store.search_existing_scans, store.get_next_scan]
    uses += [lambda: store.load_scan(_scan), lambda: store.get_scans_state([_scan]), lambda: DataStore(store.url)]
    uses += [lambda: new_stream(store), lambda: store.engine.wait(lambda: False, ["catalogue"], 1)]
    for use in uses:
        with pytest.raises(DataError, match="another type of value"):
            use()


@pytest.mark.parametrize("value", [b"\xff\xff", b"x", b"1", b""])
def test_a_time_tag_that_is_none(store, call, value):
    call("SET", "labdaq:scans:last", value)
    for use in (store.search_existing_scans, lambda: store.get_next_scan(timeout=0.1)):
        with pytest.raises(DataError, match=r"labdaq:scans:last .*redis-cli DEL"):
            use()
    call("DEL", "labdaq:scans:last")
    with pytest.raises(NoScanAvailable):
        store.get_next_scan(block=False)


@pytest.mark.parametrize(
    "fields", [["q", "1"], ["k", "zz", "t", "1-1"], ["k", b"\xff", "t", "1-1"], ["k", new_key("scan"), "t", b"\xff"]]
)
def test_an_entry_of_the_scans_that_is_none(store, call, fields):
    key, _stream = closed_scan(store)
    tag, _key = store.get_last_scan()
    call("XADD", "labdaq:scans", "999-0", *fields)
    for use in (store.get_last_scan, lambda: store.get_next_scan(since=tag)):
        with pytest.raises(DataError, match=r"entry 999-0 of labdaq:scans .*redis-cli XDEL labdaq:scans 999-0"):
            use()
    assert store.get_next_scan(since=0)[1] == key
    call("XDEL", "labdaq:scans", "999-0")
    assert store.get_last_scan()[1] == key


def test_members_that_are_no_keys(store, call, caplog):
    _key, stream = closed_scan(store)
    for member in ("zz", b"\xff"):
        call("ZADD", "labdaq:scans:order", 99, member)
        with pytest.raises(DataError, match="labdaq:scans:order"):
            store.search_existing_scans()
        assert len(store.search_existing_scans(name="muon")[1]) == 1
        call("ZREM", "labdaq:scans:order", member)
        call("SADD", "labdaq:streams", member)
    with caplog.at_level(logging.WARNING, "labdaq.store"):
        assert store.engine.usage() == {stream: 16}
    assert "2 streams" in caplog.text


def test_fields_that_cannot_be(store, call):
    for name in (b"bad name", b"\xff", b"", b"_x", b"state", b"operator", b"operator"):
        call("RPUSH", "labdaq:fields", name)
    with DataStore(store.url, ["detector"]) as other:
        scan = other.create_scan({"name": "a", "number": 1, "data_policy": "none", "operator": "Ada", "detector": "b"})
        assert other.load_scan(scan.key).operator == "Ada"
        assert other.search_existing_scans(detector="b")[1] == [scan.key]


def test_small_things():
    assert fields_of([b"a", b"b"]) == ("a", "b")
    for text in (b"5", b"", b"\xff", b"{}", b"[" * 9999):
        assert author_of(text) == "somebody else"


# -------------------------------------------------------------------------------------- states of a box


STEPS = st.lists(st.sampled_from(["add", "add large", "take", "acknowledge", "refuse", "fail"]), max_size=40)


@given(STEPS, st.integers(1, 50_000))
def test_a_box_is_always_in_one_of_its_states(steps, room):
    box = Outbox(new_key("stream"), "s", "token", place="1", point_nbytes=1, length=7, nbytes=7)
    for number, step in enumerate(steps):
        if step.startswith("add") and box.error is None:
            box.add(bytes(10 if step == "add" else 10_000), 10 if step == "add" else 10_000, number)
        elif step == "take":
            before, box_sent = list(box.sent), bool(box.sent)
            box.take(room)
            assert box.is_retry == box_sent
            assert not before or box.sent == before
        elif step == "acknowledge" and box.sent:
            box.acknowledge()
        elif step == "refuse" and box.sent:
            box.refuse("full", 1.0)
        elif step == "fail":
            box.fail(box.error or ClosedError("given up"))
        entries = [*box.sent, *box.queue]
        assert box.npending == sum(entry.count for entry in entries)
        assert box.pending_nbytes == sum(len(entry.payload) for entry in entries)
        ends = [entry.start + entry.count for entry in entries]
        assert [entry.start for entry in entries] == [box.length - box.npending, *ends[:-1]][: len(entries)]
        assert not ends or ends[-1] == box.length
        assert box.sent or box.refused_since is None
        assert box.error is None or not entries
