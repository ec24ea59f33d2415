"""Scans as documents of the event model, which its own validators accept."""

import json

import numpy as np
import pytest

from labdaq.errors import IndexNoMoreThereError
from labdaq.store import JsonStreamEncoder, NumericStreamEncoder
from labdaq.store.exchange.documents import documents
from labdaq.store.keys import ulid_of
from tests.store.kept import ENGINES, WHO, a_scan, a_store, table

event_model = pytest.importorskip("event_model")

REAL = NumericStreamEncoder(float)
CLOCK = NumericStreamEncoder("i8")


@pytest.fixture(params=ENGINES)
def store(request, tmp_path):
    with a_store(request.param, tmp_path) as store:
        yield store


def checked(scan, **options):
    """The documents of a scan by name, each of them valid, plain JSON, and of the right run."""
    found = {"start": [], "descriptor": [], "event_page": [], "stop": []}
    for name, document in documents(scan, **options):
        event_model.schema_validators[event_model.DocumentNames[name]].validate(document)
        json.dumps(document, allow_nan=False)
        found[name].append(document)
    (start,) = found["start"]
    descriptors = [d["uid"] for d in found["descriptor"]]
    assert len(set(descriptors)) == len(descriptors)
    assert all(d["run_start"] == start["uid"] for d in found["descriptor"] + found["stop"])
    for page in found["event_page"]:
        assert page["descriptor"] in descriptors
        columns = [page["seq_num"], page["uid"], page["time"], *page["data"].values(), *page["timestamps"].values()]
        assert {len(column) for column in columns} == {len(page["uid"])}
    return found


def test_who_and_when(store):
    scan = a_scan(store, {"sample": "Cu", "range": {"low": 1}}, **table())
    found = checked(scan)
    (start,), (stop,) = found["start"], found["stop"]
    assert start["uid"] == ulid_of(scan.key)
    assert start["time"] == scan.created_ns / 1e9
    assert (start["scan_id"], start["plan_name"], start["data_session"]) == (7, "muon", "s1")
    assert start["info"] == {"sample": "Cu", "range": {"low": 1}}
    assert (stop["exit_status"], stop["num_events"]) == ("success", {"primary": 4})
    assert start["time"] - 0.01 <= stop["time"] <= start["time"] + 60


def test_data_keys(store):
    (descriptor,) = checked(a_scan(store, **table()))["descriptor"]
    keys = descriptor["data_keys"]
    kinds = {name: (key["dtype"], key["shape"]) for name, key in keys.items()}
    assert kinds == {
        "delay": ("number", []),
        "count": ("integer", []),
        "good": ("boolean", []),
        "wave": ("array", [3]),
        "image": ("array", [2, 3]),
        "field": ("array", [2]),
        "when": ("string", []),
        "hits": ("array", [None]),
        "note": ("string", []),
    }
    assert keys["delay"]["units"] == "us"
    assert keys["count"]["dtype_numpy"] == ">i4"
    assert "units" not in keys["count"]
    assert descriptor["name"] == "primary"
    assert descriptor["hints"]["delay"] == {"fields": ["delay"]}


def test_data(store):
    (page,) = checked(a_scan(store, **table()))["event_page"]
    data = page["data"]
    assert page["seq_num"] == [1, 2, 3, 4]
    assert data["delay"] == [0, 0.25, 0.5, 0.75]
    assert data["good"] == [True, False, True, False]
    assert data["image"][1] == [[6, 7, 8], [9, 10, 11]]
    assert data["field"][2] == [0, 2]
    assert data["when"][1] == "1970-01-01T00:00:00.000001"
    assert data["hits"] == [[], [0], [0, 1], [0, 1, 2]]
    assert json.loads(data["note"][3]) == {"i": 3, "text": "µ<b>"}


def test_nan_and_infinities_are_null(store):
    nan, inf = float("nan"), float("inf")
    bad = np.array([1, nan, inf, -inf])
    imaginary = np.zeros(4, "c8")
    imaginary.imag = bad
    streams = {
        "real": (REAL, {"top": inf}, bad),
        "single": (NumericStreamEncoder("f4"), {}, bad.astype("f4")),
        "long": (NumericStreamEncoder(np.longdouble), {}, bad.astype(np.longdouble)),
        "field": (NumericStreamEncoder("c8"), {}, imaginary),
        "ragged": (NumericStreamEncoder(float, -1), {}, [bad[:n] for n in range(4)]),
        "note": (JsonStreamEncoder(), {}, *[{"x": [x]} for x in bad.tolist()]),
    }
    found = checked(a_scan(store, {"x": nan, "deep": [{"y": -inf, "z": 1.5}]}, **streams))
    assert found["start"][0]["info"] == {"x": None, "deep": [{"y": None, "z": 1.5}]}
    data = found["event_page"][0]["data"]
    assert data["real"] == data["single"] == data["long"] == [1, None, None, None]
    assert data["field"] == [[0, 1], [0, None], [0, None], [0, None]]
    assert data["ragged"] == [[], [1], [1, None], [1, None, None]]
    assert data["note"] == ['{"x":[1.0]}', '{"x":[null]}', '{"x":[null]}', '{"x":[null]}']
    assert json.loads(checked(a_scan(store, {"a.b": nan}))["start"][0]["info"]) == {"a.b": None}


def test_infos_with_numbers_of_numpy_that_nobody_kept_yet(store):
    scan = store.create_scan(WHO)
    scan.info.update(gain=np.float32(0.5), offsets=np.array([1, np.nan]))
    assert checked(scan)["start"][0]["info"] == {"gain": 0.5, "offsets": [1, None]}


def test_the_router_takes_them(store):
    scan = a_scan(store, **table())
    seen = []

    class Router(event_model.DocumentRouter):
        def event_page(self, doc):
            seen.extend(event_model.unpack_event_page(doc))
            return doc

    router = Router()
    for name, document in documents(scan):
        router(name, document, validate=True)
    assert [event["data"]["count"] for event in seen] == [0, 1, 2, 3]


def test_doing_it_again_yields_the_same_identifiers(store):
    scan = a_scan(store, **table())
    first, second = ([d["uid"] for _, d in documents(scan)] for _ in range(2))
    assert first == second


def test_many_points_are_several_pages(store):
    scan = a_scan(
        store, a=(REAL, {}, np.arange(2500.0)), b=(NumericStreamEncoder("u2", -1), {}, [np.zeros(9, "u2")] * 2500)
    )
    pages = checked(scan)["event_page"]
    assert len(pages) >= 3
    assert [n for page in pages for n in page["seq_num"]] == list(range(1, 2501))
    assert [x for page in pages for x in page["data"]["a"]] == list(range(2500))


class TestTimes:
    def test_of_the_clock_beside(self, store):
        times = np.array([1_700_000_000_000_000_000, 1_700_000_000_500_000_000])
        streams = {
            "raw": (REAL, {}, np.zeros(2)),
            "raw.counter": (REAL, {}, np.zeros(2)),
            "raw.timestamp_ns": (CLOCK, {}, times),
            "slow": (REAL, {}, np.zeros(2)),
        }
        found = checked(a_scan(store, **streams))
        (page,) = found["event_page"]
        assert page["time"] == [1.7e9, 1.7e9 + 0.5]
        assert page["timestamps"]["raw_counter"] == page["timestamps"]["raw"] == page["time"]
        assert page["timestamps"]["slow"][0] == pytest.approx(found["start"][0]["time"], abs=60)
        (descriptor,) = found["descriptor"]
        assert list(descriptor["data_keys"]) == ["raw", "raw_counter", "raw_timestamp_ns", "slow"]
        assert descriptor["data_keys"]["raw_counter"]["object_name"] == "raw.counter"
        assert "raw_timestamp_ns" not in descriptor["hints"]

    def test_names_are_made_unique(self, store):
        streams = {name: (REAL, {}, np.full(3, i, float)) for i, name in enumerate(["a.b", "a/b", "a_b"])}
        found = checked(a_scan(store, **streams, **{"x.y": (REAL, {}, 1.0)}))
        assert found["event_page"][0]["data"] == {"a_b": [0] * 3, "a_b_": [1] * 3, "a_b__": [2] * 3}
        assert found["stop"][0]["num_events"] == {"primary": 3, "x_y": 1}

    def test_of_the_clock_of_all(self, store):
        found = checked(a_scan(store, a=(REAL, {}, np.zeros(2)), timestamp_ns=(CLOCK, {}, np.array([0, 10**9]))))
        assert found["event_page"][0]["timestamps"]["a"] == [0, 1]

    def test_without_a_clock_those_of_the_store(self, store):
        found = checked(a_scan(store, a=(REAL, {}, np.zeros(2))))
        start, stop = found["start"][0]["time"], found["stop"][0]["time"]
        (page,) = found["event_page"]
        assert start - 0.01 <= page["time"][0] == page["time"][1] <= stop + 0.01

    def test_a_clock_of_texts_is_none(self, store):
        checked(a_scan(store, a=(REAL, {}, np.zeros(1)), timestamp_ns=(JsonStreamEncoder(), {}, "now")))


class TestStates:
    def test_lengths_that_differ(self, store):
        streams = {"a": np.zeros(3), "b": np.zeros(3), "c": np.zeros(1), "primary": np.zeros(2)}
        found = checked(a_scan(store, **{name: (REAL, {}, data) for name, data in streams.items()}))
        assert [d["name"] for d in found["descriptor"]] == ["primary", "c", "primary_"]
        assert found["stop"][0]["num_events"] == {"primary": 3, "c": 1, "primary_": 2}

    def test_nothing_at_all(self, store):
        found = checked(a_scan(store))
        assert not found["descriptor"]
        assert found["stop"][0]["num_events"] == {}
        assert not checked(a_scan(store, a=(REAL, {})))["event_page"]

    def test_a_live_scan_has_no_end(self, store):
        scan = store.create_scan(WHO)
        scan.create_stream("a", REAL).send([1, 2])
        scan.prepare(), scan.start()
        found = checked(store.load_scan(scan.key))
        assert found["event_page"][0]["data"] == {"a": [1, 2]}
        assert not found["stop"]

    @pytest.mark.parametrize(
        ("reason", "status"),
        [
            ("SUCCESS", "success"),
            ("USER_ABORT", "abort"),
            ("FAILURE", "fail"),
            ("detector on fire", "fail"),
            (None, "success"),
            (3, "success"),
        ],
    )
    def test_how_it_ended(self, store, reason, status):
        (stop,) = checked(a_scan(store, {"end_reason": reason}))["stop"]
        assert stop["exit_status"] == status
        assert stop["reason"] == (reason if isinstance(reason, str) else "")

    @pytest.mark.parametrize("info", [{"a.b": 1}, {"x": {"a/b": 1}}, {"": 1}, {"a": [{"b.c": 1}]}, {"a\n.b": 1}])
    def test_infos_that_the_event_model_does_not_allow(self, store, info):
        told = checked(a_scan(store, info))["start"][0]["info"]
        assert (json.loads(told) if isinstance(told, str) else told) == info

    def test_trimmed_points(self, store):
        scan = store.create_scan(WHO)
        stream = scan.create_stream("a", NumericStreamEncoder(float, 100_000))
        for i in range(100):
            stream.send(np.full(100_000, i, float))
        store.engine.trim(stream.record, 99)
        first = stream.extent().first
        with pytest.raises(IndexNoMoreThereError):
            list(documents(scan))
        if first > 90:
            page = checked(scan, skip_trimmed=True)["event_page"][0]
            assert page["seq_num"][0] == first + 1
