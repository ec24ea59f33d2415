"""Programs written for blissdata run with only their imports changed, on every engine."""

import threading

import numpy as np
import pytest

from labdaq.store import (
    CursorGroup,
    DataStore,
    EndOfStream,
    JsonStreamEncoder,
    NoScanAvailable,
    NumericStreamEncoder,
    ScanState,
)
from labdaq.testing import run_threads

SCAN_ID = {"name": "my_scan", "number": 1, "data_policy": "no_policy", "session": "example_session"}


@pytest.fixture(params=["memory", "embedded", "redis"])
def data_store(request, tmp_path):
    if request.param == "redis":
        redis = pytest.importorskip("labdaq.testing.redis")
        with redis.redis_server() as server, DataStore(server.url) as store:
            yield store
    else:
        with DataStore("memory://" if request.param == "memory" else tmp_path / "lab") as store:
            yield store


def run_scan(scan, npoint):
    scalars = scan.create_stream(
        "scalars", NumericStreamEncoder(dtype=np.float64), info={"unit": "mV", "embed the info": "you want"}
    )
    vectors = scan.create_stream("vectors", NumericStreamEncoder(dtype=np.int32, shape=(4096,)), info={})
    arrays = scan.create_stream("arrays", NumericStreamEncoder(dtype=np.uint16, shape=(1024, 100)), info={})
    jsons = scan.create_stream("jsons", JsonStreamEncoder(), info={})
    scan.info["some_metadata"] = {"a": 42, "b": 561}
    scan.prepare()
    scan.start()
    for i in range(npoint):
        scalars.send(float(i))
        vectors.send(np.full((4096,), i, dtype=np.int32))
        arrays.send(np.full((1024, 100), i, dtype=np.uint16))
        jsons.send({"index": i})
    for stream in (scalars, vectors, arrays, jsons):
        stream.seal()
    scan.stop()
    scan.info["end_metadata"] = {"c": 123, "d": "xyz"}
    scan.close()


def test_creation_and_streaming(data_store):
    scan = data_store.create_scan(SCAN_ID)
    try:
        run_scan(scan, 100)
    finally:
        if scan.state < ScanState.CLOSED:
            scan.close()
    _timestamp, key = data_store.get_last_scan()
    loaded = data_store.load_scan(key)
    assert (loaded.name, loaded.number, loaded.session, loaded.proposal) == ("my_scan", 1, "example_session", None)
    assert loaded.info == {"some_metadata": {"a": 42, "b": 561}, "end_metadata": {"c": 123, "d": "xyz"}}
    streams = loaded.streams
    assert {name: len(stream) for name, stream in streams.items()} == dict.fromkeys(streams, 100)
    assert streams["scalars"].info["unit"] == "mV"
    assert streams["scalars"][50:100:10].tolist() == [50, 60, 70, 80, 90]
    assert streams["vectors"][-1].tolist() == [99] * 4096
    assert streams["arrays"][3:4].shape == (1, 1024, 100)
    assert streams["jsons"][97:] == [{"index": 97}, {"index": 98}, {"index": 99}]


def test_waiting_for_the_next_scan_and_following_it(data_store):
    with pytest.raises(NoScanAvailable):
        data_store.get_next_scan(timeout=0.05)
    waiting = threading.Event()
    seen = {}

    def follow():
        waiting.set()
        timestamp, key = data_store.get_next_scan(since=0, timeout=20)
        scan = data_store.load_scan(key)
        while scan.state < ScanState.PREPARED:
            scan.update(timeout=20)
        group = CursorGroup(scan.streams)
        try:
            while True:
                for stream, (_index, points) in group.read(timeout=20).items():
                    seen[stream.name] = seen.get(stream.name, 0) + len(points)
        except EndOfStream:
            pass
        while scan.state != ScanState.CLOSED:
            scan.update(timeout=20)
        seen["state"] = scan.state.name
        with pytest.raises(NoScanAvailable):
            data_store.get_next_scan(since=timestamp, block=False)

    def take():
        assert waiting.wait(10)
        run_scan(data_store.create_scan(SCAN_ID), 30)

    run_threads(follow, take)
    assert seen == {"scalars": 30, "vectors": 30, "arrays": 30, "jsons": 30, "state": "CLOSED"}


def test_finding_scans(data_store):
    for number in range(3):
        data_store.create_scan({**SCAN_ID, "number": number, "session": f"session_{number % 2}"}).close()
    timestamp, keys = data_store.search_existing_scans(session="session_0", name="my_*")
    assert [data_store.load_scan(key).number for key in keys] == [0, 2]
    data_store.create_scan({**SCAN_ID, "number": 3})
    assert data_store.load_scan(data_store.get_next_scan(since=timestamp, block=False)[1]).number == 3
