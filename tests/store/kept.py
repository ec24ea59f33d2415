"""Stores and scans for the tests of what leaves a store."""

import contextlib
import sys

import numpy as np
import pytest

from labdaq.store import DataStore, JsonStreamEncoder, NumericStreamEncoder

ENGINES = ["memory", "embedded"]
WHO = {"name": "muon", "number": 7, "data_policy": "none", "session": "s1"}


@pytest.fixture(autouse=True)
def threads_of_zarr(no_leaks):
    """Zarr's own threads live until the process ends; in modules that import this they end with each test."""
    yield
    if "zarr" in sys.modules:
        sys.modules["zarr.core.sync"].cleanup_resources()


@contextlib.contextmanager
def a_store(engine, tmp_path):
    with DataStore("memory://" if engine == "memory" else tmp_path / "store") as store:
        yield store


def a_scan(store, info=None, **streams):
    """A scan that is closed: of each stream the encoder, the info and the batches."""
    scan = store.create_scan(WHO, info)
    for name, (encoder, about, *batches) in streams.items():
        stream = scan.create_stream(name, encoder, about)
        for batch in batches:
            stream.send(batch)
    scan.prepare(), scan.start(), scan.stop(), scan.close()
    return store.load_scan(scan.key)


def table(n=4):
    """Streams of one length, of every kind."""
    images = np.arange(n * 6, dtype="u2").reshape(n, 2, 3)
    notes = [{"i": i, "text": "µ<b>"} for i in range(n)]
    return {
        "delay": (NumericStreamEncoder(float), {"unit": "us", "label": "Delay"}, np.arange(n) / 4),
        "count": (NumericStreamEncoder(">i4"), {}, np.arange(n, dtype=">i4")),
        "good": (NumericStreamEncoder("?"), {}, np.arange(n) % 2 == 0),
        "wave": (NumericStreamEncoder("f4", 3), {"units": "mV", "gain": 2}, np.ones((n, 3), "f4")),
        "image": (NumericStreamEncoder("u2", (2, 3)), {}, images[:1], images[1:]),
        "field": (NumericStreamEncoder("c16"), {}, np.arange(n) * 1j),
        "when": (NumericStreamEncoder("M8[us]"), {}, np.arange(n).astype("M8[us]")),
        "hits": (NumericStreamEncoder("i2", -1), {}, [np.arange(i, dtype="i2") for i in range(n)]),
        "note": (JsonStreamEncoder(), {}, *notes),
    }
