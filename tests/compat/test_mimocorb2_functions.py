"""What mimoCoRB2 brings along: peaks, tables, histograms, displays and boards."""

import csv

import numpy as np
import pytest

from labdaq.compat.mimocorb2 import Exporter, Importer, SetupError
from labdaq.compat.mimocorb2.functions import analyzers, exporters, observers, visualizers
from labdaq.compat.mimocorb2.functions.importers import redpitaya
from labdaq.files import read_csv
from tests.compat.bench import WAVE


class TestFunctions:
    def peaks(self, bench, **config):
        bench.buffer("In", WAVE, 100)
        bench.buffer("Heights", [("position", "i4"), ("peak_heights", "f4")], 1)
        writer = bench.io(sinks=["In"]).write[0]
        for heights in ((5, 7), (), (9,)):
            with writer as (metadata, wave):
                for number, height in enumerate(heights):
                    wave["B"][20 + 30 * number] = height
                metadata["counter"] = len(heights)
        bench.buffers["In"].finish()
        analyzers.pha(bench.io(["In"], ["Heights"], channel="B", **config))

    def test_all_peaks_are_found(self, bench):
        self.peaks(bench, height=1)
        bench.buffers["Heights"].finish()
        found = [(m["counter"][0], *d[0].item()) for d, m in Exporter(bench.io(["Heights"]))]
        assert found == [(2, 20, 5), (2, 50, 7), (1, 20, 9)]

    def test_peaks_that_cannot_be_had(self, bench):
        with pytest.raises(SetupError, match="'peak_heights' of the sink needs the setting 'height'"):
            self.peaks(bench)
        with pytest.raises(SetupError, match="no channel 'C'; there are: A, B"):
            analyzers.pha(bench.io(["In"], ["Heights"], channel="C"))
        bench.buffer("Odd", [("size", "f4")], 1)
        with pytest.raises(SetupError, match="a field 'size'"):
            analyzers.pha(bench.io(["In"], ["Odd"]))
        with pytest.raises(SetupError, match="data_length 1"):
            analyzers.pha(bench.io(["In"], ["In"]))

    def test_tables_and_histograms(self, bench):
        for name in ("In", "Next"):
            bench.buffer(name, [("h", "f4"), ("n", "i2")], 1)
        bench.fill("In", 0.5, 2.5, 2.5, 9.0, 10.0, 11.0)
        exporters.histogram(bench.io(["In"], ["Next"], bins={"h": [0, 10, 5]}, update_interval=0))
        folder = bench.folder / "Histograms_In"
        assert np.load(folder / "h.npy").tolist() == [1, 2, 0, 0, 2]
        rows = list(csv.DictReader((folder / "info.csv").read_text().splitlines()))
        assert rows == [{"Channel": "h", "Min": "0.0", "Max": "10.0", "NBins": "5"}]
        assert (folder / "outside.csv").read_text().splitlines()[1] == "h,1"
        bench.buffers["Next"].finish()
        exporters.csv(bench.io(["Next"], save_interval=0, name="heights"))
        records = read_csv(bench.folder / "heights.csv").records
        assert records["counter"].tolist() == [10, 11, 12, 13, 14, 15]
        assert records["h"].tolist() == [0.5, 2.5, 2.5, 9.0, 10.0, 11.0]

    def test_what_cannot_be_counted(self, bench):
        bench.buffer("In", [("h", "f4")], 1)
        bench.buffer("Waves")
        bench.buffer("Twice", [("counter", "f4")], 1)
        for bins, told in (
            ({"x": [0, 1, 2]}, "there are: h"),
            ({"h": [1, 0, 2]}, "are wanted"),
            ({"h": [1]}, "wanted"),
        ):
            with pytest.raises(SetupError, match=told):
                exporters.histogram(bench.io(["In"], bins=bins))
        with pytest.raises(SetupError, match="of one value"):
            exporters.csv(bench.io(["Waves"]))
        with pytest.raises(SetupError, match="a column 'counter' of its own"):
            exporters.csv(bench.io(["Twice"]))

    def test_displays_are_silent(self, bench, capfd):
        bench.buffer("In")
        bench.fill("In", 1)
        observers.oscilloscope(bench.io(observes=["In"], channels=["B"]))
        visualizers.histogram(bench.io(observes=["In"]))
        exporters.drain(bench.io(["In"]))
        assert capfd.readouterr() == ("", "")
        with pytest.raises(SetupError, match="no channel 'C'"):
            observers.oscilloscope(bench.io(observes=["In"], channels=["C"]))

    def test_a_board_is_set_up_from_the_settings(self, bench):
        bench.buffer("Out", [("IN1", "i2"), ("IN2", "i2")], 100)
        bench.buffer("Other")
        config = {"ip": "none", "trigger_level": 5, "sample_rate": 4, "number_of_samples_before_trigger": 10}
        board = redpitaya._board(Importer(bench.io(sinks=["Out"], **config, trigger_mode="auto")))
        assert (board.shape, board.decimation, board.pretrigger, board.level, board.auto) == ((2, 100), 4, 0.1, 5, True)
        with pytest.raises(SetupError, match=r"cannot be set up so .*decimation=3"):
            redpitaya.waveform(bench.io(sinks=["Out"], **config | {"sample_rate": 3}))
        with pytest.raises(SetupError, match="the fields IN1 and IN2"):
            redpitaya.waveform(bench.io(sinks=["Other"], **config))
