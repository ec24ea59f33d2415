"""Sinks: what is in their files is what was in the ring."""

import tarfile

import cloudpickle
import h5py
import numpy as np
import pytest
import zarr
from zarr.core.sync import cleanup_resources

from labdaq import DataStore
from labdaq.errors import LayoutError
from labdaq.files import CsvFile, ParquetFile, iterate_parquet, read_csv
from labdaq.pipeline import Pipeline, RunState, StoreSink, open_run
from labdaq.pipeline.sinks.files import as_sink

PULSE = np.dtype([("height", "f8"), ("width", "i4")])
WAVE = np.dtype([("a", "f4"), ("b", "f4")])


@pytest.fixture(autouse=True)
def threads_of_zarr(no_leaks):
    """Zarr's own threads live until the process ends; here they end with each test."""
    yield
    cleanup_resources()


def pulses(count: int = 30):
    def give():
        for n in range(count):
            yield np.array((n / 8, -n), PULSE), {"timestamp_ns": 10**18 + n, "deadtime": n / 64}

    return give


def expected(count: int = 30):
    n = np.arange(count)
    return {"counter": n, "timestamp_ns": 10**18 + n, "deadtime": n / 64, "height": n / 8, "width": -n}


def check(columns, count=30):
    for name, values in expected(count).items():
        assert np.array_equal(np.asarray(columns[name]), values), name


def test_tables_and_datasets_hold_counter_stamp_dead_time_and_data_and_each_run_has_its_own(tmp_path):
    with Pipeline("keep", store=tmp_path) as daq:
        raw = daq.ring("raw", PULSE, capacity=8, header={"units": {"height": "mV", "width": "ns"}})
        daq.source(pulses(), raw)
        for sink in ("pulses.csv", "tabs.txt", "pulses.parquet", "pulses.h5", "pulses.zarr", "store"):
            daq.sink(sink, raw)
        results = [daq.run(), daq.run()]
    for result in results:
        assert result.state == RunState.ENDED, str(result)
        folder = result.folder
        for name in ("pulses.csv", "tabs.txt"):
            table = read_csv(folder / name)
            check(table.records)
            assert dict(table.units) == {"timestamp_ns": "ns", "height": "mV", "width": "ns"}
        parquet = list(iterate_parquet(folder / "pulses.parquet"))
        check({name: np.concatenate([piece.records[name] for piece in parquet]) for name in expected()})
        with h5py.File(folder / "pulses.h5") as file:
            group = file["raw/measurement"]
            check({name: group[name][:] for name in expected()})
            assert group["height"].attrs["units"] == "mV"
            assert group["timestamp_ns"].attrs["units"] == "ns"
        group = zarr.open(folder / "pulses.zarr", mode="r")["raw/measurement"]
        check({name: group[name][:] for name in expected()})
        with DataStore(tmp_path) as store:
            streams = store.load_scan(result.key).streams
            check({name: streams[f"raw.{name}"][:] for name in expected()})
    assert results[0].folder != results[1].folder


def test_waveforms_go_where_they_fit(tmp_path):
    waves = [np.array([(n, -n)] * 5, WAVE) for n in range(6)]
    with Pipeline("waves", store=tmp_path) as daq:
        raw = daq.ring("raw", WAVE, (5,), capacity=4)
        daq.source(waves, raw)
        with pytest.raises(LayoutError, match=r"does not fit in the cells of .*use Parquet, HDF5, Zarr or the store"):
            daq.sink("waves.csv", raw)
        daq.sink("waves.tar", raw)
        daq.sink("waves.parquet", raw)
        result = daq.run()
    assert result.state == RunState.ENDED, str(result)
    with tarfile.open(result.folder / "waves.tar") as archive:
        assert len([name for name in archive.getnames() if name.endswith(".parquet")]) == 6
    pieces = list(iterate_parquet(result.folder / "waves.parquet"))
    kept = np.concatenate([piece.records["b"] for piece in pieces])
    assert np.array_equal(kept, -np.arange(6)[:, None] * np.ones(5))


def test_what_is_no_sink_is_refused_with_what_is():
    with Pipeline("none", store=None) as daq:
        raw = daq.ring("raw", PULSE)
        clash = daq.ring("clash", [("counter", "i8")])
        with pytest.raises(LayoutError, match=r"files end in \.csv, "):
            daq.sink("pulses.doc", raw)
        with pytest.raises(LayoutError, match="is no sink"):
            daq.sink(5, raw)
        with pytest.raises(LayoutError, match="a field of ring 'clash' is called counter"):
            daq.sink("a.csv", clash)
        with pytest.raises(LayoutError, match="an archive of events takes"):
            daq.sink("pulses.tar", raw)
        with pytest.raises(LayoutError, match="one worker, in a thread"):
            daq.sink("pulses.csv", raw, workers=2)
        assert isinstance(as_sink("store", raw), StoreSink)
        assert as_sink(CsvFile("a.csv"), raw).name == "a.csv"
        assert as_sink(ParquetFile("a.parquet"), raw).name == "a.parquet"


def test_a_full_disk_fails_the_run_which_drains_and_says_where():
    with Pipeline("disk", store=None) as daq:
        raw = daq.ring("raw", PULSE, capacity=8)
        daq.source(pulses(200), raw)
        daq.sink(CsvFile("/dev/full"), raw, name="keep")
        result = daq.run()
    assert result.state == RunState.FAILED
    assert "/dev/full" in result.reason
    assert "make room on the disk" in result.reason
    assert result.ledger["keep"].undelivered == result.events
    assert result.ledger.is_closed


@pytest.mark.parametrize("sink", ["raw.csv", "raw.parquet", "raw.h5", "raw.zarr", "store"])
def test_after_a_run_a_pipeline_still_goes_to_another_process(tmp_path, sink):
    with Pipeline("away", store=tmp_path) as daq:
        raw = daq.ring("raw", "f8", capacity=16)
        daq.source([0.5, 1.5], raw)
        daq.sink(sink, raw)
        daq.run()
        text = cloudpickle.dumps(daq)
    with cloudpickle.loads(text) as other:
        folder = other.run().folder
    with open_run(folder) as run:
        assert run.table("raw")["data"].tolist() == [0.5, 1.5]
