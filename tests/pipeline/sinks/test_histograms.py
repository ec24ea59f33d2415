"""Histograms are filled in runs, kept with them, and added up."""

import sys
import threading

import numpy as np
import pytest

from labdaq.errors import DataError, LayoutError, MissingExtraError, ResourceError
from labdaq.files import write_npz
from labdaq.pipeline import Pipeline
from labdaq.pipeline.kept.listing import open_run
from labdaq.pipeline.kept.replay import Replay
from labdaq.pipeline.sinks.histograms import HistogramSink
from labdaq.pipeline.sinks.kept_histogram import merge, read_histogram

HIT = np.dtype([("height", "f4"), ("delay", "f8"), ("weight", "f8")])


def hits(n=1000, seed=1):
    rng = np.random.default_rng(seed)
    made = np.zeros(n, HIT)
    made["height"], made["delay"], made["weight"] = rng.normal(5, 3, n), rng.exponential(2, n), rng.uniform(0, 2, n)
    return made


class Batch:
    def __init__(self, data, **planes):
        self.data, self.planes = data, planes

    def __len__(self):
        return len(self.data)


def filled(sink, *batches):
    for data in batches:
        sink.write(Batch(data))
    return sink.snapshot()


def test_counts_are_those_of_numpy():
    data = hits()
    shown = filled(HistogramSink("height", 20, 0.0, 10.0), data[:300], data[300:])
    counts, edges = np.histogram(data["height"].astype(float), 20, (0.0, 10.0))
    np.testing.assert_array_equal(shown.values(), counts)
    np.testing.assert_array_equal(shown.edges[0], edges)
    np.testing.assert_array_equal(shown.errors(), np.sqrt(counts))
    below, above = (data["height"] < 0).sum(), (data["height"] >= 10).sum()
    assert below > 0 < above
    assert shown.values(flow=True)[[0, -1]].tolist() == [below, above]
    assert shown.total == len(data)
    assert shown.nan == 0


def test_two_dimensions_weights_and_edges():
    data, edges = hits(), np.array([0.0, 1.0, 2.0, 5.0])
    sink = HistogramSink(("height", "delay"), (10, edges), (0.0, None), (10.0, None), weight="weight")
    shown = filled(sink, data)
    heights, delays, weights = data["height"].astype(float), data["delay"], data["weight"]
    want, *_ = np.histogram2d(heights, delays, [np.linspace(0, 10, 11), edges], weights=weights)
    squares, *_ = np.histogram2d(heights, delays, [np.linspace(0, 10, 11), edges], weights=weights**2)
    np.testing.assert_allclose(shown.values(), want)
    np.testing.assert_allclose(shown.errors(), np.sqrt(squares))
    assert shown.values(flow=True).shape == (12, 5)
    assert shown.total == pytest.approx(weights.sum())
    assert sink.name == "height_delay.npz"


def test_bins_that_widen():
    data = hits()
    shown = filled(HistogramSink("delay", 30, 0.01, 100.0, log=True), data)
    np.testing.assert_allclose(shown.edges[0], np.geomspace(0.01, 100.0, 31))
    np.testing.assert_array_equal(shown.values(), np.histogram(data["delay"], np.geomspace(0.01, 100.0, 31))[0])
    assert shown.is_log


def test_arrays_functions_and_planes():
    data = np.random.default_rng(2).normal(size=(50, 4, 10))
    assert filled(HistogramSink(None, 5, -1, 1), data).total == data.size
    heights = filled(HistogramSink(lambda events: events.max(axis=(1, 2)), 5, 0, 5, name="heights"), data)
    np.testing.assert_array_equal(heights.values(), np.histogram(data.max(axis=(1, 2)), 5, (0, 5))[0])
    sink = HistogramSink("deadtime", 4, 0, 1, weight=lambda events: events[:, 0, 0] ** 2)
    sink.write(Batch(data, deadtime=np.linspace(0, 0.99, 50)))
    assert sink.snapshot().total == pytest.approx((data[:, 0, 0] ** 2).sum())
    weighted = filled(HistogramSink(None, 5, -9, 9, weight=lambda events: np.arange(50.0)), data)
    assert weighted.total == pytest.approx(np.arange(50.0).sum() * 40)  # an event's weight is that of all its samples
    with pytest.raises(LayoutError, match="differ in shape"):
        filled(HistogramSink(None, 5, -9, 9, weight=lambda events: np.arange(49.0)), data)
    with pytest.raises(LayoutError, match="no 'width'; there are height"):
        filled(HistogramSink("width", 5, 0, 1), hits())


def test_what_is_no_number_is_counted():
    data = hits(10)
    data["height"][3] = data["delay"][3] = data["delay"][5] = np.nan
    data["height"][7] = np.inf
    shown = filled(HistogramSink(("height", "delay"), 4, 0, 5), data)
    assert (shown.nan, shown.total) == (2, 8)


# ---- in a run


def test_a_run_keeps_its_histogram(tmp_path):
    with Pipeline("hits", store=tmp_path) as daq:
        ring = daq.ring("hits", HIT, (), 64, header={"units": {"height": "mV"}})
        daq.source(Replay(hits()), ring)
        sink = daq.sink(HistogramSink("height", 20, 0, 10, ring=ring), ring)
        results = [daq.run(), daq.run()]
    want = filled(HistogramSink("height", 20, 0, 10), hits())
    parts = []
    for result in results:
        assert result.ledger.is_closed
        assert result.ledger["height.npz"].accepted == 1000
        with open_run(result.folder) as run:
            parts.append(run.histogram("height"))
        np.testing.assert_array_equal(parts[-1].counts, want.counts)  # each run begins with an empty one
        np.testing.assert_array_equal(parts[-1].variances, want.variances)
        assert (parts[-1].axes, parts[-1].units, parts[-1].nan) == (("height",), ("mV",), 0)
    np.testing.assert_array_equal(sink.snapshot().counts, want.counts)
    both = merge(parts)
    np.testing.assert_array_equal(both.counts, 2 * want.counts)
    np.testing.assert_array_equal(both.errors(), np.sqrt(2 * want.values()))
    assert "height 20 bins from 0 to 10 mV: 2000 in all" in repr(both)


def test_it_is_seen_while_it_is_filled():
    sink, data, is_over = HistogramSink("height", 20, -1000, 1000), hits(200), threading.Event()
    totals = []

    def look():
        while not is_over.is_set():
            totals.append(sink.snapshot().total)

    thread = threading.Thread(target=look)
    thread.start()
    for _ in range(200):
        sink.write(Batch(data))
    is_over.set()
    thread.join()
    assert sink.snapshot().total == 40_000
    assert totals == sorted(totals)
    assert all(total % 200 == 0 for total in totals)
    sink.clear()
    assert sink.snapshot().total == 0


def test_snapshots_are_copies():
    sink = HistogramSink("height", 5, 0, 10)
    before = filled(sink, hits())
    counts = before.counts.copy()
    filled(sink, hits())
    np.testing.assert_array_equal(before.counts, counts)


# ---- files and others


def test_it_is_read_back(tmp_path):
    sink = HistogramSink(("height", "delay"), (7, 3), 0.0, 10.0, weight="weight", log=False)
    shown = filled(sink, hits())
    shown.save(tmp_path / "h.npz")
    again = read_histogram(tmp_path / "h.npz")
    np.testing.assert_array_equal(again.counts, shown.counts)
    np.testing.assert_array_equal(again.variances, shown.variances)
    assert all(map(np.array_equal, again.edges, shown.edges))
    assert again.axes == shown.axes
    assert (again + shown).total == pytest.approx(2 * shown.total)
    with pytest.raises(ResourceError, match="exists"):
        shown.save(tmp_path / "h.npz")


def test_files_that_are_no_histograms(tmp_path):
    write_npz(tmp_path / "other.npz", {"counts": np.zeros(3)})
    about = {"histogram": {"axes": ["x"], "units": [""], "nan": 0, "is_log": False}}
    arrays = {"counts": np.zeros(5), "variances": np.zeros(5), "edges_0": np.arange(3.0)}
    write_npz(tmp_path / "bins.npz", arrays, about)
    write_npz(tmp_path / "less.npz", {"counts": np.zeros(5)}, about)
    (tmp_path / "torn.npz").write_bytes((tmp_path / "bins.npz").read_bytes()[:100])
    for name in ("other", "bins", "less", "torn"):
        with pytest.raises(DataError):
            read_histogram(tmp_path / f"{name}.npz")
    with pytest.raises(ResourceError):
        read_histogram(tmp_path / "nothing.npz")


def test_what_does_not_fit_together():
    one, other = HistogramSink("height", 5, 0, 10).snapshot(), HistogramSink("height", 5, 0, 11).snapshot()
    for parts in ([one, other], [one, HistogramSink("delay", 5, 0, 10).snapshot()], []):
        with pytest.raises(LayoutError):
            merge(parts)
    with pytest.raises(LayoutError, match="no field 'width'"), Pipeline("x", store=None) as daq:
        HistogramSink("width", 5, 0, 1, ring=daq.ring("hits", HIT))
    with pytest.raises(LayoutError, match="which field"), Pipeline("x", store=None) as daq:
        HistogramSink(None, 5, 0, 1, ring=daq.ring("hits", HIT))


@pytest.mark.parametrize(
    "settings",
    [
        {"bins": 10}, {"bins": 0, "start": 0, "stop": 1}, {"bins": 3, "start": 1, "stop": 1}, {"bins": [1, 1, 2]},
        {"bins": [1.0]}, {"bins": [0, 1], "start": 0}, {"bins": 3, "start": 0, "stop": 1, "log": True},
        {"bins": 3, "start": 0, "stop": np.nan}, {"field": ("a", "b", "c"), "bins": [0, 1]},
        {"bins": [0, 1], "name": "a/b"},
    ],
)  # fmt: skip
def test_bins_that_are_not_possible(settings):
    with pytest.raises(LayoutError):
        HistogramSink(**settings)


def test_for_other_packages(monkeypatch):
    sink = HistogramSink("height", 20, 0, 10)
    shown = filled(sink, hits())
    boost = shown.to_boost()
    np.testing.assert_array_equal(boost.values(), shown.values())
    np.testing.assert_array_equal(boost.variances(flow=True), shown.variances)
    monkeypatch.setitem(sys.modules, "hist", None)
    with pytest.raises(MissingExtraError, match=r"labdaq\[analysis\]"):
        shown.to_hist()
    monkeypatch.setitem(sys.modules, "boost_histogram", None)
    with pytest.raises(MissingExtraError, match=r"boost-histogram.*labdaq\[analysis\]"):
        HistogramSink("height", 20, 0, 10)


def test_for_hist():
    pytest.importorskip("hist")
    sink = HistogramSink("height", 20, 0, 10)
    shown = filled(sink, hits())
    shown = sink.to_hist()
    np.testing.assert_array_equal(shown.values(), sink.snapshot().values())
    assert shown.axes[0].label == "height"
