"""Scans: what their info may be, and when it may change."""

import pytest

from labdaq.errors import LayoutError, StateError
from labdaq.store import DataStore, NumericStreamEncoder

IDENTITY = {"name": "info", "number": 1, "data_policy": "none"}


@pytest.fixture
def store():
    with DataStore("memory://") as store:
        yield store


@pytest.mark.parametrize("info", [{"x": object()}, {1: "a", "1": "b"}, {"deep": [{1: 0, "1": 0}]}, 5, [1], "text"])
def test_what_no_info_can_be_is_refused_at_once(store, info):
    with pytest.raises(LayoutError):
        store.create_scan(IDENTITY, info)
    assert store.search_existing_scans()[1] == []
    scan = store.create_scan(IDENTITY)
    with pytest.raises(LayoutError):
        scan.create_stream("x", NumericStreamEncoder(float), info)
    scan.info = info
    with pytest.raises(LayoutError):
        scan.prepare()
    scan.info = {}
    scan.prepare()


@pytest.mark.parametrize("info", [{1: "a"}, {"nan": float("nan")}, {"t": (1, 2)}, {"\N{SNOWMAN}": "\N{SNOWMAN}"}])
def test_what_changes_on_its_way_did_not_change(store, info):
    scan = store.create_scan(IDENTITY)
    scan.info = info
    scan.prepare()
    scan.start()
    scan.info["more"] = 1
    with pytest.raises(StateError, match="changed"):
        scan.stop()


@pytest.mark.parametrize("encoder", [float, "f8", None])
def test_an_encoder_is_an_encoder(store, encoder):
    with pytest.raises(LayoutError, match="no encoder"):
        store.create_scan(IDENTITY).create_stream("x", encoder)


@pytest.mark.parametrize("name", [5, None, ["x"], "", "two\nlines", "x" * 201])
def test_a_name_is_a_short_text(store, name):
    with pytest.raises(LayoutError, match="name of a stream"):
        store.create_scan(IDENTITY).create_stream(name, NumericStreamEncoder(float))


@pytest.mark.parametrize("timeout", [-1, float("nan"), "5", [1]])
def test_a_timeout_is_a_time(store, timeout):
    stream = store.create_scan(IDENTITY).create_stream("x", NumericStreamEncoder(float))
    with pytest.raises(LayoutError, match="timeout"):
        stream.wait_seal(timeout)
