"""The muon experiment: from waveforms to a result, the ledger, and what happens when something fails."""

import csv
import dataclasses
import itertools
import json
import math
import signal
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from labdaq.demos import muon, muon_take
from labdaq.demos.muon_table import DECAY
from labdaq.errors import DataError, MissingExtraError, NotFoundError, ResourceError
from labdaq.files import read_csv, read_parquet
from labdaq.kernels import DOUBLE_PULSE, find_double_pulse
from labdaq.pipeline import Ledger, Pipeline
from labdaq.sim import MuonDetector
from tests.recorded import recorded

FILES = ["decay_times.csv", "decay_times.parquet", "first_light.png", "summary.json", "summary.txt"]


@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    return muon.run(out=tmp_path_factory.mktemp("muon") / "new" / "folder", events=3000, seed=1, progress=False)


@pytest.fixture
def others():
    """How many threads there are already: libraries keep some of their own."""
    return threading.active_count()


class TestSimulated:
    def test_lifetime_is_that_of_the_simulation(self, simulated):
        fit = simulated.fit
        assert fit.is_valid
        assert abs(fit.tau_us - MuonDetector().mean_lifetime_us) < 4 * fit.tau_error_us

    def test_ledger_closes_and_is_told(self, simulated):
        assert simulated.events == 3000 == simulated.accepted + simulated.rejected
        told = f"3000 in = {simulated.accepted} accepted + {simulated.rejected} rejected"
        assert told in simulated.summary()

    def test_files(self, simulated):
        assert sorted(path.name for path in simulated.folder.iterdir()) == FILES
        assert (simulated.folder / "first_light.png").read_bytes().startswith(b"\x89PNG")
        assert (simulated.folder / "summary.txt").read_text() == simulated.summary() + "\n"
        facts = json.loads((simulated.folder / "summary.json").read_text())
        assert facts["fit"]["tau_us"] == simulated.fit.tau_us
        assert facts["events"] == 3000

    def test_fit_that_failed_is_told(self, simulated, tmp_path):
        fit = dataclasses.replace(simulated.fit, is_valid=False, tau_error_plus_us=math.nan)
        result = dataclasses.replace(simulated, fit=fit)
        assert "NOT VALID" in result.summary()
        assert "NOT VALID" not in simulated.summary()
        muon._save_summary(tmp_path, result)
        assert json.loads((tmp_path / "summary.json").read_text())["fit"]["tau_error_plus_us"] is None

    def test_tables_hold_every_decay_once_and_in_order(self, simulated):
        table = read_parquet(simulated.folder / "decay_times.parquet")
        text = read_csv(simulated.folder / "decay_times.csv", DECAY)
        np.testing.assert_array_equal(table.records, text.records)
        assert table.units == text.units == {"decay_time": "us", "first_height": "V", "last_height": "V"}
        assert len(table) == simulated.accepted
        assert (np.diff(table.records["counter"]) > 0).all()

    def test_decays_are_those_of_a_plain_loop(self, simulated):
        found = {}
        out = np.zeros(1, DOUBLE_PULSE)
        for i, (waveform, _) in enumerate(MuonDetector(seed=1, events=3000)):
            if find_double_pulse(waveform, out):
                found[i] = out[0]["decay_time"]
        records = read_parquet(simulated.folder / "decay_times.parquet").records
        assert dict(zip(records["counter"], records["decay_time"], strict=True)) == found

    def test_same_seed_same_bytes(self, simulated, tmp_path):
        muon.run(out=tmp_path, events=3000, seed=1, progress=False)
        for name in FILES[:3]:
            assert (tmp_path / name).read_bytes() == (simulated.folder / name).read_bytes(), name

    def test_second_run_replaces_the_first(self, tmp_path):
        for events in (1000, 500):
            result = muon.run(out=tmp_path, events=events, progress=False)
            assert len(read_csv(tmp_path / "decay_times.csv")) == result.accepted <= events


def test_progress_is_shown_on_standard_error(capsys):
    muon_take.take_data(MuonDetector(events=50))
    shown = capsys.readouterr()
    assert "50/50" in shown.err
    assert shown.out == ""


def test_endless_source_ends_after_the_events_asked_for():
    take = muon_take.take_data(MuonDetector(), events=200, progress=False)
    assert take.events == 200


def test_events_that_were_set_apart_are_told(simulated):
    assert "set apart" not in simulated.summary()
    assert "rejected + 2 set apart" in dataclasses.replace(simulated, set_apart=2).summary()


def test_nothing_in_nothing_out():
    take = muon_take.take_data(MuonDetector(events=0), progress=False)
    assert (take.events, take.accepted, take.rejected) == (0, 0, 0)


@pytest.fixture(scope="module")
def kanne(tmp_path_factory):
    return muon.run(recorded("muon"), tmp_path_factory.mktemp("kanne"), progress=False)


class TestRecorded:
    def test_lifetime(self, kanne):
        assert kanne.fit.tau_us == pytest.approx(2.13, abs=0.02)
        assert kanne.fit.tau_error_us == pytest.approx(0.3, abs=0.05)

    def test_ledger_and_agreement(self, kanne):
        assert kanne.events == 1081 == kanne.accepted + kanne.rejected
        agreeing = int(kanne.comparison.split()[0])
        assert agreeing >= 1070
        assert "of 1081" in kanne.comparison

    def test_published_values_row_by_row(self, kanne):
        published = recorded("muon/dpKanne2_180403.dat").read_text().splitlines()
        rows = [row for row in csv.reader(published) if row and not row[0].startswith("#")]
        records = read_csv(kanne.folder / "decay_times.csv").records
        expected = np.array([float(row[2]) for row in rows])[records["counter"]]
        assert (np.abs(records["decay_time"] - expected) < 0.1).sum() >= 1070


class TestFaults:
    """After each of them no thread is left: the leak check of all tests looks."""

    def test_filter_that_raises_once(self, others):
        def fail(waveform, out):
            if next(calls) == 300:
                raise KeyError("waveform 300")
            return find_double_pulse(waveform, out)

        calls = itertools.count()
        take = muon_take.take_data(MuonDetector(events=500), find=fail, progress=False)
        assert take.set_apart == 1
        assert take.events == 500 == take.accepted + take.rejected + take.set_apart
        assert threading.active_count() == others

    def test_filter_that_raises_always(self, others):
        def fail(_waveform, _out):
            raise KeyError("waveform")

        with pytest.raises(DataError, match=r"(?s)filter 'find'.* gave up after 10 errors.*KeyError: 'waveform'"):
            muon_take.take_data(MuonDetector(), find=fail, progress=False)
        assert threading.active_count() == others

    def test_source_that_raises(self, others):
        class Broken(MuonDetector):
            def acquire_batch(self, events):
                if self._next > 100:
                    raise OSError("cable")
                return super().acquire_batch(events)

        with pytest.raises(DataError, match=r"(?s)source 'detector'.* gave up after 10 errors.*OSError: cable"):
            muon_take.take_data(Broken(), progress=False)
        assert threading.active_count() == others

    @pytest.mark.skipif(sys.platform == "win32", reason="needs signals for threads")
    @pytest.mark.parametrize("progress", [True, False])
    def test_interrupt_ends_the_intake_and_loses_nothing(self, others, progress):
        def interrupt(waveform, out):
            if next(calls) == 300:
                signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
            return find_double_pulse(waveform, out)

        calls = itertools.count()
        take = muon_take.take_data(MuonDetector(), find=interrupt, progress=progress)
        assert take.events > 300
        assert take.events == take.accepted + take.rejected
        assert len(take.decays) == take.accepted
        assert threading.active_count() == others

    def test_event_that_is_lost_is_noticed(self, monkeypatch):
        def lose(*args, **settings):
            found = wait(*args, **settings)
            nodes = [dataclasses.replace(node, rejected=node.rejected - 1) for node in found.ledger.nodes]
            return dataclasses.replace(found, ledger=Ledger.of(nodes))

        wait = Pipeline.wait
        monkeypatch.setattr(Pipeline, "wait", lose)
        with pytest.raises(DataError, match="ledger does not close: detector: in 50"):
            muon_take.take_data(MuonDetector(events=50), progress=False)

    def test_too_few_decays_to_fit_are_still_saved(self, tmp_path):
        with pytest.raises(DataError, match="too few"):
            muon.run(out=tmp_path, events=2, progress=False)
        assert (tmp_path / "decay_times.csv").exists()

    def test_folder_without_recordings(self, tmp_path):
        with pytest.raises(NotFoundError, match="no recording"):
            muon.run(tmp_path, tmp_path / "out", progress=False)

    def test_recording_with_two_channels_only(self, tmp_path):
        real = recorded("muon")
        for path in real.iterdir():
            if "180514" in path.name:
                (tmp_path / path.name).symlink_to(path)
        with pytest.raises(NotFoundError, match="several channels"):
            muon.run(tmp_path, tmp_path / "out", progress=False)

    def test_folder_that_cannot_be_made(self, tmp_path):
        (tmp_path / "file").touch()
        with pytest.raises(ResourceError, match="folder cannot be made"):
            muon.run(out=tmp_path / "file" / "out", events=10, progress=False)

    @pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
    @pytest.mark.parametrize("name", ["decay_times.csv", "first_light.png", "summary.txt"])
    def test_full_disk(self, tmp_path, name):
        (tmp_path / name).symlink_to("/dev/full")
        with pytest.raises(ResourceError, match="No space left"):
            muon.run(out=tmp_path, events=300, progress=False)

    @pytest.mark.parametrize("package", ["iminuit", "matplotlib.figure", "pyarrow"])
    def test_missing_package(self, tmp_path, monkeypatch, package):
        monkeypatch.setitem(sys.modules, package, None)
        with pytest.raises(MissingExtraError, match="pip install"):
            muon.run(out=tmp_path, events=300, progress=False)
