"""Recorded events come once more: the same, in their order, and when they are due."""

import math
import pickle
import tarfile
import threading
import time

import numpy as np
import pytest

from labdaq.errors import DataError, EndOfDataError, LayoutError, NotFoundError, ResourceError
from labdaq.files import Hdf5File, ParquetFile, ParquetTarFile, ZarrFile, read_recording, write_npz
from labdaq.pipeline import Pipeline
from labdaq.pipeline.kept.listing import open_run
from labdaq.pipeline.kept.pacing import pace_of
from labdaq.pipeline.kept.replay import Replay
from labdaq.ring import Ring
from labdaq.roles import BatchSource, Source
from tests.files.test_picocosmo import LEVELS, record
from tests.pipeline.keeping import HEADER, PULSE, pulse_of, taken, waveforms
from tests.store.kept import threads_of_zarr

__all__ = ["threads_of_zarr"]

CHANNELS = np.dtype([("A", "f4"), ("B", "f4")])


class Batch:
    """A batch of room for events."""

    def __init__(self, replay, n):
        self.data = np.zeros((n, *replay.shape), replay.dtype)
        self.planes = {"counter": np.full(n, -1), "timestamp_ns": np.full(n, -1), "deadtime": np.full(n, -1.0)}

    def __len__(self):
        return len(self.data)


class Slot:
    def __init__(self, replay):
        self.data = np.zeros(replay.shape, replay.dtype)
        self.counter = self.timestamp_ns = self.deadtime = None


def everything(replay, n=7):
    """All events of a replay: data and planes."""
    found = []
    replay.open()
    while True:
        batch = Batch(replay, n)
        try:
            count = replay.acquire_batch(batch)
        except EndOfDataError:
            break
        found.append((batch.data[:count], *(plane[:count] for plane in batch.planes.values())))
    replay.close()
    return [np.concatenate(parts) for parts in zip(*found, strict=True)]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return taken(tmp_path_factory.mktemp("runs"), ("pulses.csv", "pulses.parquet"))


@pytest.fixture(scope="module")
def pulses(run):
    with open_run(run.folder) as opened:
        return opened.table("pulses.parquet").records


# ---- what is replayed


def test_a_ring_of_the_store(run):
    replay = Replay(run.folder, ring="raw")
    assert isinstance(replay, Source)
    assert isinstance(replay, BatchSource)
    assert (replay.dtype, replay.shape, replay.header) == (np.float32, (2, 50), HEADER)
    data, counters, times, deadtimes = everything(replay)
    assert data.tobytes() == waveforms().tobytes()
    np.testing.assert_array_equal(counters, 3 * np.arange(40))
    np.testing.assert_array_equal(times, 10**18 + 2_000_000 * np.arange(40))
    np.testing.assert_array_equal(deadtimes, np.arange(40) / 1000)


@pytest.mark.parametrize("how", ["number", "key", "opened", "pulses.csv", "pulses.parquet"])
def test_a_ring_that_sinks_kept_in_files(run, pulses, how):
    if how == "opened":
        with open_run(run.folder) as opened:
            replay = Replay(opened, ring="pulses")
            data, counters, times, _ = everything(replay)
    else:
        source = {"number": run.number, "key": run.key}.get(how, run.folder / how)
        replay = Replay(source, ring=None if "." in how else "pulses", store=run.folder.parent)
        data, counters, times, _ = everything(replay)
    assert (replay.dtype, replay.shape, replay.header) == (PULSE, (), {"units": {"height": "V"}})
    for field in PULSE.names:
        assert data[field].tobytes() == pulses[field].tobytes()
    np.testing.assert_array_equal(counters, pulses["counter"])
    np.testing.assert_array_equal(times, pulses["timestamp_ns"])


def rows(n=40):
    kept = np.zeros(n, [("counter", "i8"), ("timestamp_ns", "i8"), ("deadtime", "f8"), ("data", "f4", (2, 50))])
    kept["counter"], kept["timestamp_ns"], kept["data"] = 3 * np.arange(n), 10**18 + np.arange(n), waveforms(n)
    return kept


@pytest.mark.parametrize("ending", ["parquet", "h5", "zarr", "npz"])
def test_files_that_lie_about(tmp_path, ending):
    path, kept = tmp_path / f"raw.{ending}", rows()
    if ending == "parquet":
        with ParquetFile(path, units={"data": "V"}) as file:
            file.write(kept)
    elif ending == "npz":
        write_npz(path, {name: kept[name] for name in kept.dtype.names})
    else:
        with {"h5": Hdf5File, "zarr": ZarrFile}[ending](path) as file:
            for ring in ("raw", "other"):
                file.entry(ring)
                for name in kept.dtype.names:
                    file.dataset(name, kept[name], units="V" if name == "data" else None)
        with pytest.raises(NotFoundError, match="which tables"):
            Replay(path)
    replay = Replay(path, ring="raw" if ending in {"h5", "zarr"} else None)
    assert (replay.dtype, replay.shape) == (np.float32, (2, 50))
    assert replay.header == ({} if ending == "npz" else {"units": {"data": "V"}})
    data, counters, times, _ = everything(replay)
    assert data.tobytes() == waveforms().tobytes()
    np.testing.assert_array_equal(counters, kept["counter"])
    np.testing.assert_array_equal(times, kept["timestamp_ns"])


@pytest.mark.parametrize("ending", ["tar", "tar.gz"])
def test_a_tar_of_parquet(tmp_path, ending):
    events = np.zeros((5, 50), CHANNELS)
    events["A"], events["B"] = waveforms(5)[:, 0], waveforms(5)[:, 1]
    with ParquetTarFile(tmp_path / "pulses.tar") as file:
        for i, event in enumerate(events):
            file.write(event, counter=10 + 2 * i)
    if ending == "tar.gz":
        with tarfile.open(tmp_path / "pulses.tar.gz", "w:gz") as packed, tarfile.open(tmp_path / "pulses.tar") as plain:
            for member in plain.getmembers():
                packed.addfile(member, plain.extractfile(member))
    replay = Replay(tmp_path / f"pulses.{ending}")
    assert (replay.dtype, replay.shape) == (CHANNELS, (50,))
    data, counters, times, _ = everything(replay)
    assert data.tobytes() == events.tobytes()
    np.testing.assert_array_equal(counters, 10 + 2 * np.arange(5))
    assert set(times) == {-1}  # they were not kept: the ring stamps the events
    with pytest.raises(LayoutError, match="no times were recorded"):
        Replay(tmp_path / f"pulses.{ending}", timing="original")


def test_a_recording_of_picocosmo(tmp_path):
    pytest.importorskip("yaml")
    path = record(tmp_path, channels=2)
    for source in (path, read_recording(path)):
        replay = Replay(source)
        data, *_ = everything(replay)
        np.testing.assert_array_equal(data, LEVELS[read_recording(path).index])
        assert replay.header["channels"] == ["A", "B"]
        assert replay.header["sample_interval_ns"] == pytest.approx(4.0)


def test_an_event_on_which_a_filter_failed(tmp_path):
    def fails(event):
        if event.counter == 2:
            raise ValueError("not this one")

    with Pipeline("broken", store=tmp_path) as daq:
        raw, out = daq.ring("raw", "f4", (2, 50)), daq.ring("out", "f4", (2, 50))
        daq.source(Replay(waveforms(5)), raw)
        daq.filter(fails, raw, out, name="find")
        daq.drain(out)
        folder = daq.run().folder
    (path,) = (folder / "quarantine").iterdir()
    data, counters, *_ = everything(Replay(path))
    assert data.tobytes() == waveforms(5)[2].tobytes()
    assert counters.tolist() == [2]


def test_a_pool_is_repeated(tmp_path):
    pool = np.arange(6, dtype="u2").reshape(3, 2)
    replay, batch = Replay(pool, loop=True), Batch(Replay(pool), 2)
    seen = []
    for _ in range(5):
        seen += batch.data[: replay.acquire_batch(batch)].tolist()
    assert seen == [[0, 1], [2, 3], [4, 5]] * 2 + [[0, 1], [2, 3]]
    assert batch.planes["counter"].tolist() == [-1, -1]
    assert len(everything(Replay(pool))[0]) == 3
    with pytest.raises(EndOfDataError):
        Replay(pool[:0], loop=True).acquire_batch(batch)


def test_repeated_events_are_new_ones(run):
    replay = Replay(run.folder, ring="raw", loop=True)
    batch = Batch(replay, 30)
    got = [replay.acquire_batch(batch) for _ in range(3)]
    assert got == [30, 10, 30]
    assert set(batch.planes["counter"]) == {-1}
    replay.close()


def test_events_one_by_one(run):
    replay = Replay(run.folder, ring="raw")
    replay.open()
    for i in range(3):
        slot = Slot(replay)
        replay.acquire(slot)
        assert slot.data.tobytes() == waveforms()[i].tobytes()
        assert (slot.counter, slot.timestamp_ns, slot.deadtime) == (3 * i, 10**18 + 2_000_000 * i, i / 1000)
    replay.rewind()
    replay.acquire(slot)
    assert slot.counter == 0
    replay.close()


def test_what_cannot_be_replayed(run, tmp_path):
    with pytest.raises(NotFoundError, match=r"which ring.*raw, pulses"):
        Replay(run.folder)
    with pytest.raises(NotFoundError, match="ring='muons', and kept were raw, pulses"):
        Replay(run.folder, ring="muons")
    with pytest.raises(LayoutError, match="cannot be replayed"):
        Replay(3.5)
    with pytest.raises(LayoutError, match="first axis counts events"):
        Replay(np.array(3.5))
    with pytest.raises(NotFoundError):
        Replay(tmp_path / "nothing")
    with pytest.raises(ResourceError):
        Replay(tmp_path / "nothing.parquet")
    (tmp_path / "half.parquet").write_bytes(b"PAR1 and no end")
    with pytest.raises(DataError):
        Replay(tmp_path / "half.parquet")
    with ParquetTarFile(tmp_path / "mixed.tar") as file:
        file.write(np.zeros(3, CHANNELS))
        file.write(np.zeros(4, CHANNELS))
    with pytest.raises(DataError, match="event 1 holds"):
        Replay(tmp_path / "mixed.tar")
    np.savez(tmp_path / "numbers.npz", counter=np.arange(3), deadtime=np.zeros(3))
    with pytest.raises(DataError, match="nothing of its events but"):
        Replay(tmp_path / "numbers.npz")


# ---- in a pipeline


def test_a_replayed_run_gives_the_same_result(run, pulses):
    """Raw events once more through the same filter: the same pulses, byte by byte, in each of two runs."""
    with Pipeline("again", store=run.folder.parent / "again") as daq:
        raw, found = daq.ring("raw", "f4", (2, 50), 64), daq.ring("pulses", PULSE, (), 64)
        daq.source(Replay(run.folder, ring="raw"), raw)
        daq.filter(pulse_of, raw, found)
        daq.sink("pulses.parquet", found)
        results = [daq.run(), daq.run()]
    for result in results:
        assert result.events == 40
        assert result.ledger.is_closed
        with open_run(result.folder) as again:
            assert again.table("pulses").records.tobytes() == pulses.tobytes()
    assert raw.header == HEADER


def test_counters_and_times_come_into_the_ring(run):
    replay = Replay(run.folder, ring="raw")
    with Ring(space="system", dtype="f4", shape=(2, 50), capacity=64) as ring:
        with ring.reader("all") as reader, ring.writer() as writer:
            replay.open()
            with writer.reserve(30) as events:
                assert replay.acquire_batch(events) == 30
            with writer.reserve() as event:
                replay.acquire(event)
            replay.close()
            seen = reader.read_span(31)
            np.testing.assert_array_equal(seen.planes["counter"], 3 * np.arange(31))
            np.testing.assert_array_equal(seen.planes["timestamp_ns"], 10**18 + 2_000_000 * np.arange(31))
            assert seen.data.tobytes() == waveforms()[:31].tobytes()


def test_a_replay_goes_to_another_process(run):
    replay = Replay(run.folder, ring="raw", timing=1e6, seed=3)
    everything(replay)
    again = pickle.loads(pickle.dumps(replay))
    assert everything(again)[0].tobytes() == waveforms().tobytes()
    with open_run(run.folder) as opened:
        again = pickle.loads(pickle.dumps(Replay(opened, ring="raw", timing=1e6, seed=3)))
    assert everything(again)[0].tobytes() == waveforms().tobytes()
    assert again.seed == 3
    assert repr(again) == repr(replay)


# ---- when


def test_original_timing_is_that_of_the_recording(run):
    """40 events 2 ms apart take 78 ms, or half of that; none comes too early."""
    for speed, least_s in ((1.0, 0.078), (2.0, 0.039)):
        replay = Replay(run.folder, ring="raw", timing="original", speed=speed)
        begin_s = time.monotonic()
        data, *_ = everything(replay)
        assert time.monotonic() - begin_s >= least_s
        assert len(data) == 40


def test_a_rate_is_kept():
    replay = Replay(np.zeros((50, 2)), timing=1000.0)
    begin_s = time.monotonic()
    assert len(everything(replay)[0]) == 50
    assert time.monotonic() - begin_s >= 0.05


def test_random_times_are_those_of_the_seed():
    gaps = [pace_of(100.0, True, seed).gaps_s(20_000, None) for seed in (1, 1, 2)]
    np.testing.assert_array_equal(gaps[0], gaps[1])
    assert not np.array_equal(gaps[0], gaps[2])
    assert gaps[0].mean() == pytest.approx(0.01, rel=0.05)
    assert gaps[0].std() == pytest.approx(0.01, rel=0.05)
    pace = pace_of(100.0, True, 1)
    pace.gaps_s(5, None)
    pace.begin()
    np.testing.assert_array_equal(pace.gaps_s(20_000, None), gaps[0])


def test_times_that_go_backwards_do_not(tmp_path):
    pace = pace_of("original")
    first, second = np.array([10, 30, 20, 40]) * 10**9, np.array([35, 50]) * 10**9
    np.testing.assert_allclose(pace.gaps_s(4, first), [0, 20, 0, 10])
    np.testing.assert_allclose(pace.gaps_s(2, second), [0, 10])
    pace.lap()
    np.testing.assert_allclose(pace.gaps_s(4, first), [0, 20, 0, 10])


@pytest.mark.parametrize("way", ["alone", "in a pipeline"])
def test_a_long_gap_is_interrupted(tmp_path, way):
    kept = rows(2)
    kept["timestamp_ns"][1] += 3600 * 10**9
    write_npz(tmp_path / "raw.npz", {name: kept[name] for name in kept.dtype.names})
    replay = Replay(tmp_path / "raw.npz", timing="original")
    if way == "in a pipeline":
        with Pipeline("slow", store=None) as daq:
            raw = daq.ring("raw", "f4", (2, 50), 16)
            daq.source(replay, raw)
            come = threading.Event()
            daq.sink(lambda event: come.set(), raw)
            daq.start()
            assert come.wait(30)
            daq.stop()
            result = daq.wait(30)
            assert result.events == 1
            assert not result.stuck
            assert not result.errors
        return
    replay.open()
    replay.acquire(Slot(replay))
    timer = threading.Timer(0.02, replay.interrupt)
    timer.start()
    with pytest.raises(EndOfDataError, match="interrupted"):
        replay.acquire(Slot(replay))
    timer.join()
    with pytest.raises(EndOfDataError, match="interrupted"):
        replay.acquire(Slot(replay))
    replay.open()
    replay.acquire(Slot(replay))
    replay.close()


@pytest.mark.parametrize(
    "settings",
    [
        {"timing": 0.0}, {"timing": -1}, {"timing": math.inf}, {"timing": math.nan}, {"timing": "slow"},
        {"timing": None}, {"timing": "fast", "poisson": True}, {"timing": "original", "speed": 0},
        {"timing": 5.0, "speed": 2.0},
        {"timing": "fast", "speed": 2.0}, {"timing": 5.0, "seed": -1},
    ],
)  # fmt: skip
def test_settings_that_are_not_possible(settings):
    with pytest.raises(LayoutError):
        Replay(np.zeros((3, 2)), **settings)


@pytest.mark.parametrize("settings", [{}, {"timing": "original", "speed": 1e6}, {"timing": 1e6, "poisson": True}])
def test_events_are_passed_over_without_waiting(run, settings):
    replay = Replay(run.folder, ring="raw", **settings)
    replay.open()
    replay.skip(33)
    slot = Slot(replay)
    for number in range(33, 40):
        replay.acquire(slot)
        assert slot.counter == 3 * number
    with pytest.raises(EndOfDataError):
        replay.acquire(slot)
    replay.rewind()
    with pytest.raises(EndOfDataError):
        replay.skip(41)
    replay.close()


def test_what_is_passed_over_takes_no_time():
    replay = Replay(np.zeros((10, 2)), timing=1e-3)
    replay.open()
    begun = time.monotonic()
    replay.skip(9)
    assert time.monotonic() - begun < 60  # and not the hours that it takes at this rate
    replay.close()
