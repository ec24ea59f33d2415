"""What notebooks show of stores, scans and streams: small, escaped, and never an error."""

import html.parser

import numpy as np
import pytest

from labdaq.store import JsonStreamEncoder, NumericStreamEncoder
from tests.store.kept import ENGINES, WHO, a_scan, a_store, table

REAL = NumericStreamEncoder(float)
EVIL = "<script>alert('&\"')</script>"
ALLOWED = {
    "div", "b", "table", "thead", "tbody", "tr", "th", "td", "svg", "path", "span", "details", "summary", "pre",
}  # fmt: skip


@pytest.fixture(params=ENGINES)
def store(request, tmp_path):
    with a_store(request.param, tmp_path) as store:
        yield store


class Parser(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.open, self.texts = [], []

    def handle_starttag(self, tag, attrs):
        assert tag in ALLOWED
        assert not any(name.startswith("on") or name in {"href", "src"} for name, _ in attrs)
        self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


def shown(thing, most=60_000):
    """The texts that one sees; the HTML is well formed and harmless."""
    source = thing._repr_html_()
    assert len(source) < most
    parser = Parser()
    parser.feed(source)
    parser.close()
    assert not parser.open
    return "\n".join(parser.texts)


class TestStores:
    def test_the_newest_scans(self, store):
        for number in range(25):
            a_scan(store, a=(REAL, {}, float(number)))
        text = shown(store)
        assert "25 scans, of which the last 20" in text
        assert text.count("CLOSED") == 20

    def test_names_and_states(self, store):
        a_scan(store, delay=(REAL, {}))
        store.create_scan({"name": "second", "number": 8, "data_policy": "none"})
        text = shown(store)
        assert text.index("second") < text.index("muon")
        assert "CREATED" in text
        assert "delay" in text
        assert store.url[:40] in text  # what is longer is cut

    def test_none(self, store):
        assert "0 scans" in shown(store)

    def test_closed(self, store):
        store.close()
        assert store._repr_html_().startswith("<pre>")
        assert store.url in shown(store)


class TestScans:
    def test_streams(self, store):
        text = shown(a_scan(store, {"sample": "Cu"}, **table()))
        for part in ("muon 7", "CLOSED", "session s1", "delay", "float64", "us", "2 by 3", "JSON", "sealed", '"Cu"'):
            assert part in text

    def test_info_is_folded(self, store):
        assert "<details>" in a_scan(store, {"a": 1})._repr_html_()
        assert "<details>" not in a_scan(store)._repr_html_()

    def test_live(self, store):
        scan = store.create_scan(WHO)
        scan.create_stream("a", REAL).send([1, 2])
        assert "and counting" in shown(scan)

    def test_of_a_store_that_was_closed(self, store):
        scan = a_scan(store, a=(REAL, {}, np.arange(5.0)))
        store.close()
        text = shown(scan)
        assert "muon" in text

    def test_that_was_deleted(self, store):
        scan = a_scan(store, a=(REAL, {}, np.arange(5.0)))
        store.delete_scan(scan.key)
        assert "muon" in shown(scan)

    def test_large_ones_are_cut(self, store):
        info = {"text": "<&>" * 100_000}
        scan = a_scan(store, info, **{f"stream {i} " + "<" * 180: (REAL, info, 1.0) for i in range(70)})
        assert "and 20 more streams" in shown(scan, 200_000)
        assert shown(store, 200_000)


class TestStreams:
    def test_what_it_is(self, store):
        text = shown(a_scan(store, **table()).streams["delay"])
        for part in ("delay", "Delay", "float64", "in us", "4", "points", "sealed", "0 to 0.75"):
            assert part in text

    def test_a_line_of_the_last_points(self, store):
        stream = a_scan(store, a=(REAL, {}, np.arange(1000.0))).streams["a"]
        source = stream._repr_html_()
        assert source.count("L") == 199
        assert "800 to 999" in source
        assert "currentColor" in source

    @pytest.mark.parametrize(
        ("encoder", "points"),
        [
            (REAL, [np.nan, 1, np.inf, 2, 3, -np.inf]),
            (REAL, [np.nan, np.nan]),
            (REAL, [-1.7e308, 1.7e308]),
            (REAL, [5, 5, 5]),
            (REAL, [5e-324, 0, 5e-324]),
            (REAL, [1]),
            (REAL, []),
            (NumericStreamEncoder("u8"), [0, 2**64 - 1]),
            (NumericStreamEncoder("f2"), [0, 1]),
            (NumericStreamEncoder(">i4"), [0, 1]),
            (NumericStreamEncoder("?"), [True, False]),
            (NumericStreamEncoder("c16"), [1j, 2]),
            (NumericStreamEncoder("M8[s]"), np.arange(3).astype("M8[s]")),
            (NumericStreamEncoder("f4", 3), np.ones((5, 3), "f4")),
            (NumericStreamEncoder("f4", -1), [np.ones(3, "f4")]),
            (JsonStreamEncoder(), ["x"]),
        ],
    )
    def test_any_points(self, store, encoder, points):
        stream = store.create_scan(WHO).create_stream("a", encoder)
        for point in points:
            stream.send(point)
        source = stream._repr_html_()
        assert not source.startswith("<pre>")
        drawn = source.split("<svg")[1:]
        assert not any("nan" in svg or "inf" in svg for svg in [part.split("</svg>")[0] for part in drawn])

    def test_trimmed(self, store):
        scan = store.create_scan(WHO)
        stream = scan.create_stream("a", REAL)
        for _ in range(100):
            stream.send(np.arange(10_000.0))
        store.engine.trim(stream.record, 999_990)
        text = shown(stream)
        if stream.extent().first:
            assert "trimmed" in text

    def test_of_a_store_that_was_closed(self, store):
        stream = a_scan(store, a=(REAL, {}, np.arange(5.0))).streams["a"]
        store.close()
        assert "a" in shown(stream)


def test_nothing_of_users_is_markup(store):
    who = {"name": EVIL, "number": 1, "data_policy": EVIL, "session": EVIL}
    scan = store.create_scan(who, {EVIL: EVIL})
    stream = scan.create_stream(EVIL, REAL, {"unit": EVIL, "label": EVIL})
    stream.send([1, 2])
    scan.close()
    for thing in (store, scan, stream, store.load_scan(scan.key)):
        assert EVIL in shown(thing)
        assert "<script" not in thing._repr_html_()
    store.close()
    for thing in (store, scan, stream):
        assert "<script" not in thing._repr_html_()
