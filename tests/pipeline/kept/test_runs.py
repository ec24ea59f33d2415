"""Runs are found and opened again, as they were kept; also those that were cut."""

import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from labdaq.errors import DataError, LayoutError, MissingExtraError, NotFoundError, ResourceError
from labdaq.files import rows_in_part
from labdaq.pipeline import Replay, RunState
from labdaq.pipeline.kept.listing import open_run, runs
from labdaq.pipeline.kept.tables import read_table
from labdaq.store import DataStore
from tests.pipeline.keeping import HEADER, PULSE, Detector, declared, pulse_of, taken, waveforms

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """A store with three runs of two pipelines, and a scan that is no run; and the results of the runs."""
    store = tmp_path_factory.mktemp("runs")
    results = [
        taken(store, ("pulses.csv", "pulses.parquet", "other.parquet"), comment="before Tea"),
        taken(store, comment="after tea"),
        taken(store, name="other", events=6),
    ]
    with DataStore(store) as opened:
        opened.create_scan({"name": "muon", "number": 9, "data_policy": "none"}).close()
    return store, results


def expected_pulses(events=40):
    class Event:
        def __init__(self, i):
            self.counter, self.data = 3 * i, waveforms(events)[i]

    found = [pulse_of(Event(i)) for i in range(events)]
    return np.array([one for one in found if one is not None], PULSE)


# ---- the list


def test_runs_are_listed_the_oldest_first(kept):
    store, results = kept
    found = runs(store)
    assert [(run.name, run.number, run.state) for run in found] == [
        ("muon", 1, "ended"), ("muon", 2, "ended"), ("other", 1, "ended"),
    ]  # fmt: skip
    for run, result in zip(found, results, strict=True):
        assert (run.events, run.seconds, run.folder, run.key) == (
            result.events, result.seconds, result.folder, result.key,
        )  # fmt: skip
        assert timedelta(0) < datetime.now(UTC) - run.begun < timedelta(hours=1)
    assert found[0].begun < found[1].begun < found[2].begun


def test_runs_are_chosen(kept):
    store, _ = kept
    begun = [run.begun for run in runs(store)]
    assert [run.number for run in runs(store, name="muon")] == [1, 2]
    assert [run.name for run in runs(store, name="o*")] == ["other"]
    assert [run.comment for run in runs(store, comment="TEA")] == ["before Tea", "after tea"]
    assert [run.number for run in runs(store, comment="before")] == [1]
    assert runs(store, state="cut") == []
    assert len(runs(store, state="ended")) == 3
    assert len(runs(store, since=begun[0] - timedelta(days=1))) == 3
    assert runs(store, since=(begun[2] + timedelta(days=1)).isoformat()) == []
    assert len(runs(store, until=begun[2] + timedelta(days=1), since=begun[0].date().isoformat())) == 3
    assert runs(store, until="2020-01-01") == runs(store, until=0.5) == []


def test_the_list_is_a_table(kept):
    store, _ = kept
    lines = repr(runs(store)).splitlines()
    assert lines[0].split() == ["number", "name", "state", "begun", "(UTC)", "seconds", "events", "comment"]
    assert len(lines) == 4
    assert lines[1].endswith("40      before Tea")
    html = runs(store)._repr_html_()
    assert html.count("<tr>") == 4
    assert "<td>before Tea</td>" in html


def test_what_cannot_be_listed(kept, tmp_path):
    with pytest.raises(NotFoundError, match="no store"):
        runs(tmp_path / "nothing")
    assert not (tmp_path / "nothing").exists()
    with pytest.raises(LayoutError, match="yesterday"):
        runs(kept[0], since="yesterday")


# ---- one of them


@pytest.mark.parametrize("how", ["folder", "text", "number", "key", "name of the folder"])
def test_a_run_is_opened(kept, how):
    store, results = kept
    folder = results[1].folder
    which = {
        "folder": folder,
        "text": str(folder),
        "number": 2,
        "key": results[1].key,
        "name of the folder": "muon_0002",
    }
    with open_run(which[how], store) as run:
        assert (run.name, run.number, run.folder, run.key) == ("muon", 2, folder, results[1].key)
        assert (run.state, run.comment) == ("ended", "after tea")


def test_a_number_that_is_not_enough(kept):
    store, _ = kept
    with pytest.raises(NotFoundError, match=r"which one\?.*'other'.*'muon'.*name="):
        open_run(1, store)
    with open_run(1, store, name="other") as run:
        assert run.name == "other"
    with pytest.raises(NotFoundError, match=r"no run 7.*other 1, muon 2, muon 1"):
        open_run(7, store)


def test_what_is_no_run(kept, tmp_path):
    store, _ = kept
    with pytest.raises(NotFoundError, match="no folder"):
        open_run("nothing", store)
    with pytest.raises(NotFoundError, match="no store"):
        open_run(1, tmp_path / "nothing")
    with pytest.raises(NotFoundError, match="no run of a pipeline"):
        open_run(_key_of_the_scan(store), store)
    (tmp_path / "muon_0001").mkdir()
    with pytest.raises(DataError, match="no board"):
        open_run(tmp_path / "muon_0001")
    with pytest.raises(DataError, match="called by name and number"):
        open_run(tmp_path)


def _key_of_the_scan(store):
    with DataStore(store) as opened:
        return opened.search_existing_scans(number=9)[1][0]


def test_what_a_run_says(kept):
    results = kept[1]
    with open_run(results[0].folder) as run:
        assert run.result == results[0]
        assert str(run.result) == str(results[0])
        assert run.ledger == results[0].ledger
        assert run.ledger.is_closed
        assert run.info["versions"]["numpy"] == np.__version__
        assert run.rings["raw"]["header"] == HEADER
        assert "idle -> running" in run.log.splitlines()[0]
        assert run.statistics["events"][-1] == 40
        assert run.statistics.units["time"] == "s"
        assert {file.name for file in run.files if file.is_complete} == {
            "data_flow.svg", "log.txt", "other.parquet", "pulses.csv", "pulses.parquet", "statistics.csv",
        }  # fmt: skip
        changes = [(one.worker, one.name, one.value, one.unit) for one in run.parameters]
        assert changes == [("detector", "level", 30.0, "mV"), ("detector", "level", 35.0, "mV")]
        assert run.parameters[0].from_counter == 0 < run.parameters[1].from_counter <= 21
        assert "1 of 'muon', ended" in repr(run)


@pytest.mark.parametrize("name", ["pulses", "pulses.csv", "pulses.parquet", "other"])
def test_tables_are_those_that_were_written(kept, name):
    with open_run(kept[1][0].folder) as run:
        table = run.table(name)
    want = expected_pulses()
    assert table.records.dtype.descr == [("counter", "<i8"), ("timestamp_ns", "<i8"), ("deadtime", "<f8"), *PULSE.descr]
    for field in PULSE.names:
        np.testing.assert_array_equal(table[field], want[field])
    np.testing.assert_array_equal(table["counter"], np.arange(3, 120, 6))
    np.testing.assert_array_equal(table["timestamp_ns"], 10**18 + 2_000_000 * np.arange(1, 40, 2))
    assert table.units == {"timestamp_ns": "ns", "height": "V"}


def test_streams_of_the_store_are_mapped(kept):
    with open_run(kept[1][0].folder) as run:
        data = run.waveforms("raw")
        table = run.table("raw")
    np.testing.assert_array_equal(data, waveforms())
    assert not data.flags.owndata
    assert not data.flags.writeable
    np.testing.assert_array_equal(table["data"], waveforms())
    np.testing.assert_array_equal(table["counter"], 3 * np.arange(40))
    np.testing.assert_array_equal(table["deadtime"], np.arange(40) / 1000)
    assert table.units == {"timestamp_ns": "ns", "data": "V"}


def test_fields_of_a_table(kept):
    with open_run(kept[1][0].folder) as run:
        np.testing.assert_array_equal(run.waveforms("pulses", "height"), expected_pulses()["height"])
        with pytest.raises(NotFoundError, match="height, delay, is_muon"):
            run.waveforms("pulses")
        with pytest.raises(NotFoundError, match=r"raw, data_flow.svg.*pulses.csv"):
            run.table("muons")
        with pytest.raises(DataError, match="no table"):
            run.table("data_flow.svg")
        with pytest.raises(NotFoundError, match="the fields are counter"):
            run.table("pulses")["width"]


def test_tables_for_others(kept, monkeypatch):
    with open_run(kept[1][0].folder) as run:
        pulses, raw = run.table("pulses"), run.table("raw")
    frame = pulses.to_pandas()
    assert list(frame) == list(pulses.names)
    assert frame.attrs["units"]["height"] == "V"
    np.testing.assert_array_equal(frame["height"], pulses["height"])
    np.testing.assert_array_equal(raw.to_pandas()["data"][3], waveforms()[3])
    arrow = pulses.to_arrow()
    assert arrow.schema.field("height").metadata[b"unit"] == b"V"
    assert arrow.column("counter").to_pylist() == pulses["counter"].tolist()
    assert "<th>height [V]</th>" in pulses._repr_html_()
    assert "20 rows" in pulses._repr_html_()
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(MissingExtraError, match=r"labdaq\[analysis\]"):
        pulses.to_pandas()


# ---- what went wrong


def test_a_store_that_was_moved(tmp_path):
    result = taken(tmp_path / "old")
    (tmp_path / "old").rename(tmp_path / "new")
    (run,) = runs(tmp_path / "new")
    assert run.folder == tmp_path / "new" / "muon_0001"
    with open_run(1, tmp_path / "new") as run:
        assert len(run.table("pulses.csv")) == 20
        assert len(run.waveforms("raw")) == 40
        assert run.key == result.key


def test_a_run_that_could_not_start(tmp_path):
    with declared(tmp_path, Detector()) as daq, pytest.raises(ResourceError, match="min_free_nbytes"):
        daq.run(min_free_nbytes=1 << 60, comment="too much")
    (run,) = runs(tmp_path, state="failed")
    assert (run.events, run.comment) == (0, "too much")
    with open_run(1, tmp_path) as run:
        assert run.result.state == RunState.FAILED
        assert "could not start" in run.result.reason
        assert run.ledger.nodes == ()
        with pytest.raises(NotFoundError, match=r"log\.txt"):
            run.table("pulses")


def test_a_folder_alone(tmp_path):
    result = taken(tmp_path / "store")
    folder = result.folder.rename(tmp_path / "muon_0001")
    with open_run(folder) as run:
        assert (run.state, run.key, run.info) == ("ended", "", {})  # as its board says
        assert run.result.events == 40
        assert run.left.state == RunState.ENDED
        np.testing.assert_array_equal(run.table("pulses")["counter"], np.arange(3, 120, 6))
        assert [(one.name, one.value, one.unit) for one in run.parameters] == [("level", 35.0, "")]  # from the log


def test_files_that_are_damaged(tmp_path):
    result = taken(tmp_path, ("pulses.csv", "pulses.parquet"))
    folder = result.folder
    whole = (folder / "pulses.parquet").read_bytes()
    (folder / "pulses.parquet").write_bytes(whole[: len(whole) // 2])
    lines = (folder / "pulses.csv").read_bytes()
    (folder / "pulses.csv").write_bytes(lines[:-5])
    (folder / "log.txt").write_bytes(b"\xff\xfe")
    with open_run(folder) as run:
        notes = {file.name: file.note for file in run.files if not file.is_complete}
        assert set(notes) == {"log.txt", "pulses.csv", "pulses.parquet"}
        assert "cut" in notes["pulses.csv"]
        assert len(run.table("pulses")) == 19  # the whole lines of the text
        with pytest.raises(DataError, match=r"pulses.parquet: its end is missing"):
            run.table("pulses.parquet")
        with pytest.raises(DataError, match="text file"):
            assert run.log
        (folder / "board").write_bytes(b"no board")
        with pytest.raises(DataError, match="no board"):
            assert run.left
        (folder / "board").write_bytes((b"\2\0qabdal" + b"\7" * 200)[:203])
        with pytest.raises(DataError):
            assert run.left
        (folder / "board").unlink()
        with pytest.raises(ResourceError):
            assert run.left
        (folder / "log.txt").unlink()
        with pytest.raises(ResourceError):
            assert run.log
        assert run.result == result  # which is in the store


def test_files_that_are_no_tables(tmp_path):
    for name, arrays in {"two": {"a": np.zeros(2), "b": np.zeros(3)}, "none": {"a": np.zeros(())}}.items():
        np.savez(tmp_path / f"{name}.npz", **arrays)
        with pytest.raises(DataError, match="no table"):
            read_table(tmp_path / f"{name}.npz")
    with pytest.raises(LayoutError, match="files end in"):
        read_table(tmp_path / "pulses.docx")
    with pytest.raises(ResourceError):
        read_table(tmp_path / "pulses.csv")


def test_a_run_that_was_cut(tmp_path):
    program = subprocess.Popen([sys.executable, "-m", "tests.pipeline.keeping", str(tmp_path)], cwd=ROOT)
    try:
        rows, log = (tmp_path / "muon_0001" / name for name in ("pulses.csv", "log.txt"))
        part = tmp_path / "muon_0001" / "pulses.parquet.part"
        while (
            not rows.is_file()
            or rows.read_bytes().count(b"\n") < 60
            or b"level" not in log.read_bytes()
            or rows_in_part(part) < 60
        ):
            assert program.poll() is None
            time.sleep(0.01)
        (going,) = runs(tmp_path)
        assert (going.state, going.comment) == ("running", "")
        program.send_signal(signal.SIGKILL)
    finally:
        program.kill()
        program.wait()
    (cut,) = runs(tmp_path, state="cut")
    assert cut.events >= 60
    assert cut.seconds > 0
    with open_run(cut.key, tmp_path) as run:
        assert run.state == "cut"
        assert run.result.state == RunState.FAILED
        assert "died; pulses.parquet may lack the last events" in run.result.reason
        table = run.table("pulses")  # of the text: of the other file what was written last is missing
        kept = run.waveforms("raw")
        counts = {worker.node: worker.counts for worker in run.left.workers}
        assert len(table) >= 59
        assert counts["pulses.csv"]["accepted"] >= len(table) - 64
        np.testing.assert_array_equal(table["counter"], 3 + 6 * np.arange(len(table)))
        assert len(kept) >= counts["keep raw"]["accepted"] >= 50
        np.testing.assert_array_equal(kept, waveforms()[np.arange(len(kept)) % 40])
        notes = {file.name: file.note for file in run.files if not file.is_complete}
        flushed = run.table("pulses.parquet")
        assert notes["pulses.parquet.part"] == f"it was not completed: {len(flushed)} rows can be read"
        assert len(flushed) >= 60
        np.testing.assert_array_equal(flushed["counter"], 3 + 6 * np.arange(len(flushed)))
        np.testing.assert_array_equal(flushed["height"][: len(table)], table["height"][: len(flushed)])
        assert flushed.units == table.units
        journal = run.table("pulses.h5")
        assert notes["pulses.h5.rows"] == f"its file was not completed: {len(journal)} rows can be read"
        assert len(journal) >= counts["pulses.h5"]["accepted"]
        np.testing.assert_array_equal(journal["counter"], 3 + 6 * np.arange(len(journal)))
        assert (journal.units, journal.records.dtype) == (table.units, table.records.dtype)
        replayed = Replay(tmp_path / "muon_0001" / "pulses.parquet.part")
        assert replayed.dtype.names == PULSE.names
        assert [one.value for one in run.parameters] == [30.0, 35.0]  # from the log
        assert [node.name for node in run.ledger.nodes] == [
            "detector",
            "find",
            "keep raw",
            "pulses.csv",
            "pulses.parquet",
            "pulses.h5",
        ]
        assert run.ledger["detector"].accepted <= run.result.events
        assert run.ledger.is_closed
        assert "detector: working" in str(run.left)
