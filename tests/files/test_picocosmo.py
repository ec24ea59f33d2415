"""Recordings: written here in miniature, and the real ones where there are any."""

import sys

import numpy as np
import pytest

from labdaq.errors import DataError, MissingExtraError, NotFoundError
from labdaq.files import find_recordings, read_recording
from tests.recorded import recorded

HEADER = """--- #raw waveforms
OscConf:
  Channels: [{channels}]
  NSamples: 6
  TSampling: 4.0e-09
  pretrig: 0.5
"""
LEVELS = np.array([-0.2, -0.1, 0.0], np.float32)


def record(folder, channels=1, rows=3, name="can_200101"):
    """Write a recording of three events of six samples; the path of its waveforms."""
    index = np.arange(3 * channels * 6, dtype=np.uint8).reshape(3, channels, 6) % 3
    path = folder / f"{name}_waveforms.npz"
    np.savez_compressed(path, levels=LEVELS, index=index)
    header = HEADER.format(channels=", ".join("AB"[:channels]))
    (folder / f"{name}_waveforms.header.yaml").write_text(header)
    lines = [f"{10 * i}, {i}, 2.{i}, 2.{i}, 0.1\n" for i in range(rows)]
    (folder / f"dpCan_{name.rpartition('_')[2]}-1.dat").write_text("# Nacc, Ndble, Tau\n" + "".join(lines))
    return path


def test_waveforms_are_the_levels_of_the_index(tmp_path):
    recording = read_recording(record(tmp_path))
    assert (recording.name, len(recording), recording.events) == ("can_200101", 3, 3)
    assert (recording.shape, recording.dtype) == ((6,), np.float32)
    waveforms = [waveform for waveform, timestamp_ns in recording if timestamp_ns is None]
    np.testing.assert_array_equal(waveforms, LEVELS[recording.index[:, 0]])
    assert waveforms[0].dtype == np.float32
    np.testing.assert_array_equal(recording.waveform(2), waveforms[2])


def test_settings_and_table(tmp_path):
    recording = read_recording(record(tmp_path))
    assert recording.sample_interval_ns == pytest.approx(4.0)
    assert recording.header == {
        "unit": "V", "channels": ["A"], "sample_interval_ns": pytest.approx(4.0), "pretrigger": 0.5,
        "polarity": -1, "recording": "can_200101",
    }  # fmt: skip
    assert recording.decay_time_us.tolist() == [2.0, 2.1, 2.2]


def test_two_channels(tmp_path):
    recording = read_recording(record(tmp_path, channels=2))
    assert recording.shape == recording.waveform(0).shape == (2, 6)


def test_recordings_are_found_here_and_one_level_below(tmp_path):
    (tmp_path / "more").mkdir()
    paths = [record(tmp_path, name="b_200101"), record(tmp_path / "more", name="a_200102")]
    assert find_recordings(tmp_path) == sorted(paths)
    assert find_recordings(tmp_path / "more") == [paths[1]]


class TestFaults:
    def test_no_recording_in_the_folder(self, tmp_path):
        with pytest.raises(NotFoundError, match="no recording"):
            find_recordings(tmp_path)
        with pytest.raises(NotFoundError, match="no recording"):
            read_recording(tmp_path / "x_waveforms.npz")

    @pytest.mark.parametrize("missing", ["*.yaml", "*.dat"])
    def test_a_file_is_missing(self, tmp_path, missing):
        path = record(tmp_path)
        next(tmp_path.glob(missing)).unlink()
        with pytest.raises(NotFoundError):
            read_recording(path)

    @pytest.mark.parametrize("damaged", ["*.npz", "*.yaml", "*.dat"])
    @pytest.mark.parametrize("content", [b"", b"\x00\xff\x80", b"a: [1", b"PK\x03\x04 no archive"])
    def test_a_file_is_damaged(self, tmp_path, damaged, content):
        path = record(tmp_path)
        next(tmp_path.glob(damaged)).write_bytes(content)
        with pytest.raises(DataError):
            read_recording(path)

    @pytest.mark.parametrize(
        "arrays",
        [
            {"levels": LEVELS},
            {"levels": LEVELS, "index": np.zeros((3, 6), "u1")},
            {"levels": LEVELS, "index": np.zeros((3, 1, 6), "i1")},
            {"levels": LEVELS, "index": np.full((3, 1, 6), 3, "u1")},
            {"levels": np.array([None]), "index": np.zeros((3, 1, 6), "u1")},
        ],
        ids=["no index", "2-D", "signed", "beyond the levels", "pickled"],
    )
    def test_other_arrays(self, tmp_path, arrays):
        path = record(tmp_path)
        np.savez(path, **arrays)
        with pytest.raises(DataError, match="can_200101"):
            read_recording(path)

    def test_table_of_other_events(self, tmp_path):
        with pytest.raises(DataError, match="2 rows for the 3 waveforms"):
            read_recording(record(tmp_path, rows=2))

    def test_without_yaml_the_extra_is_named(self, tmp_path, monkeypatch):
        path = record(tmp_path)
        monkeypatch.setitem(sys.modules, "yaml", None)
        with pytest.raises(MissingExtraError, match=r"labdaq\[notebook\]"):
            read_recording(path)


@pytest.mark.parametrize(
    ("name", "events", "shape"), [("cosmo_180514", 1012, (2, 4000)), ("kanne_180403", 1081, (4000,))]
)
def test_real_recordings(name, events, shape):
    (path,) = [path for path in find_recordings(recorded("")) if name in path.name]
    recording = read_recording(path)
    assert (recording.events, recording.shape, recording.sample_interval_ns) == (
        events,
        shape,
        pytest.approx(4),
    )
    assert 0.1 < recording.decay_time_us.min() < recording.decay_time_us.max() < 15.2
