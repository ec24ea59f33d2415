"""Sources without hardware, and what displays hold."""

import logging
import queue

import numpy as np
import pytest

from labdaq.compat.mimocorb import activity_logger, parquetReader, pulseSimulator
from labdaq.compat.mimocorb import mimo_buffer as bm
from labdaq.compat.mimocorb.bufferinfoGUI import bufferinfoGUI, plot_bufferinfo
from labdaq.compat.mimocorb.histogram_buffer import animHists, histogram_buffer, plot_Histograms
from labdaq.compat.mimocorb.plot_buffer import plot_buffer
from labdaq.errors import LayoutError, NotFoundError
from labdaq.files import ParquetTarFile

SIMULATION = {
    "number_of_samples": 500, "sample_time_ns": 10, "pre_trigger_samples": 50, "analogue_offset": 0.0, "sleeptime": 0,
    "prb2ndPulse": 0.5,
}  # fmt: skip


@pytest.fixture
def buffer():
    buffer = bm.NewBuffer(8, 4, [("chA", "f8"), ("chB", "f8")])
    yield buffer
    buffer.abort()
    buffer.close()


def fill(buffer, *values):
    writer = bm.Writer(buffer.new_writer())
    for number, value in enumerate(values):
        slot = writer.get_new_buffer()
        slot["chA"], slot["chB"] = value, -value
        writer.set_metadata(number, 10.0 + number, 0.25)
    writer.process_buffer()
    writer.close()


class TestPulseSimulator:
    @pytest.mark.parametrize(
        ("settings", "total", "power"),
        [
            ({}, 1188513.7574261997, 175545898.90067512),
            (
                {
                    "random": True,
                    "trigger_level": 200,
                    "analogue_offset": 0.05,
                    "prb2ndPulse": 0.9,
                    "pulseSpread": 40.0,
                },
                11158952.408260345,
                773705667.2373842,
            ),
        ],
    )
    def test_the_same_seed_gives_the_pulses_of_v1(self, settings, total, power):
        np.random.seed(7)  # noqa: NPY002
        pulses = pulseSimulator.pulseSimulator(SIMULATION | settings)
        pulses.init(4, 1000, list("ABCD"))
        waveforms = np.array([pulses() for _ in range(50)], "f8")  # the sums are those of v1, release 1.0.2
        assert waveforms.sum() == pytest.approx(total, rel=1e-9)
        assert (waveforms**2).sum() == pytest.approx(power, rel=1e-9)

    def test_heights_to_choose_from(self):
        pulses = pulseSimulator.pulseSimulator(SIMULATION | {"pulseHeight": [100, 400], "prb2ndPulse": 0.0})
        pulses.init(1, 500, ["A"])
        assert pulses().shape == (1, 500)

    def test_what_is_missing_is_told(self):
        with pytest.raises(LayoutError, match="'sample_time_ns'"):
            pulseSimulator.pulseSimulator({"number_of_samples": 1})


class TestParquetReader:
    def test_it_plays_back_all_archives(self, tmp_path):
        for number in (2, 1):
            with ParquetTarFile(tmp_path / f"run{number}.tar") as file:
                file.write(np.array([(number, 5.0)] * 3, [("chA", "f4"), ("chB", "f4")]))
        config = {"path": str(tmp_path), "number_of_samples": 3, "sleeptime": 0.0, "random": True}
        source = parquetReader.parquetReader(config)
        source.init(2, 3, ["chB", "chA"])
        assert [source()[1].tolist() for _ in range(2)] == [[1] * 3, [2] * 3]
        assert source() is None
        source = parquetReader.parquetReader(config)
        source.init(1, 3, ["chX"])
        with pytest.raises(LayoutError, match="'chX' in the file; there are: chA, chB"):
            source()

    def test_nothing_to_play_back(self, tmp_path):
        for path in (tmp_path, tmp_path / "none"):
            with pytest.raises(NotFoundError, match="no archive"):
                parquetReader.parquetReader({"path": path, "number_of_samples": 3})


class TestDisplays:
    def test_waveforms(self, buffer):
        config = {"sample_time_ns": 8, "pre_trigger_samples": 1, "analogue_offset": 0.001, "trigger_level": 5,
                  "min_sleeptime": 0.001}  # fmt: skip
        display = plot_buffer(None, None, [buffer.new_observer()], config, RB_1="observe")
        assert display.osciplot.init() == {}
        fill(buffer, 1, 2)
        display.osciplot(np.ones(4, [("chA", "f8")]), np.array([(-5, 9.0, 0.0)], bm.Observer.metadata_dtype))
        buffer.finish()
        with pytest.raises(SystemExit):
            display()
        shown = display.osciplot
        assert shown.times_ns.tolist() == [-8, 0, 8, 16]
        assert (shown.channels["chA"].tolist(), shown.channels["chB"].tolist()) == ([1] * 4, [-3] * 4)
        assert (shown.counter, shown.rate, shown.trigger_level) == (1, 3.0, 4.0)

    def test_histograms(self, buffer, caplog):
        config = {"histograms": {"chA": [0, 4, 4, 1.0, "A", 0], "chC": [0, 1, 1, 1.0, "C", 1]}}
        with caplog.at_level(logging.WARNING):
            display = histogram_buffer([buffer.new_reader_group()], None, None, config, RB_1="read")
        assert "no such field; did you mean" in caplog.text
        fill(buffer, 0.5, 2.5, 2.5, 9.0)
        buffer.finish()
        display()
        shown = display.hists
        assert (shown.entries, shown.outside, shown.frqs[0].tolist()) == ([3], [1], [1, 0, 2, 0])
        assert (display.count, display.last_event_number, display.mean_deadtime) == (4, 3, 0.25)
        assert display.nHist == 1

    def test_histograms_through_a_queue(self):
        values = queue.SimpleQueue()
        for one in ([[1.0]], [[2.0, 7.0]], None):
            values.put(one)
        assert plot_Histograms(values, [[0, 5, 5, 1.0, "x", 0]], 1.0).entries == [2]
        empty = animHists([[0, 5, 5, 1.0, "x", 0]])
        empty(None)
        assert np.isnan(empty.mean_and_width(0)).all()
        for wrong in ([0, 5], [5, 0, 5, 1, "x", 0], [0, 5, 0, 1, "x", 0]):
            with pytest.raises(LayoutError, match="a histogram is"):
                animHists([wrong])

    def test_state_of_a_run(self):
        news, log = queue.Queue(), queue.Queue()
        log.put("begun")
        for rate in (10.0, 20.0):
            news.put(("Running", 1.0, 5, 0.5, {"RB_2": [5, 3, rate]}, True))
        shown = plot_bufferinfo(news, ["RB_1", "RB_2"])
        shown()
        assert shown.R[:, -2:].tolist() == [[0, 0], [10, 20]]
        news.put(("Stopped", 1.0, 5, 0.5, {}, False))
        news.put(None)
        last = bufferinfoGUI(None, log, news, ["RB_1"])
        assert (last.status, last.all_alive, last.log) == ("Stopped", False, ["begun"])


def test_loggers_share_a_level():
    generate = activity_logger.Gen_logger
    generate.set_level(logging.ERROR)
    try:
        assert not generate("rbImport").isEnabledFor(logging.WARNING)
    finally:
        generate.set_level(logging.NOTSET)
