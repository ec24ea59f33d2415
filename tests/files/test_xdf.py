"""XDF files: what we write is what pyxdf and we read."""

import contextlib
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labdaq.errors import DataError, LayoutError, NotFoundError, ResourceError
from labdaq.files.xdf import XdfFile, read_xdf

DTYPES = ["f4", "f8", "i1", "i2", "i4", "i8"]


def write(path):
    """A file with a stream of each kind."""
    data, times = {}, 10 + np.arange(100) / 50.0
    with XdfFile(path) as file:
        for dtype in DTYPES:
            data[dtype] = np.random.default_rng(1).integers(-100, 100, (100, 3)).astype(dtype)
            channels = ["x", "y", "z"]
            number = file.add_stream(dtype, dtype, 3, sample_rate=50.0, kind="EEG", channels=channels, units="uV")
            file.append(number, data[dtype][:60], times[:60])
            file.append(number, data[dtype][60:], times[60:])
            file.add_clock_offset(number, 11.0, -0.5)
            file.add_clock_offset(number, 12.0, -0.5)
        markers = file.add_stream("markers", str, 1, kind="Markers", source_id="keyboard")
        file.append(markers, np.array(["go", "größer & <less>"]), [10.5, 11.5])
        file.add_stream("nothing", "f4", 2)
    return data, times


def test_what_is_written_is_read(tmp_path):
    data, times = write(tmp_path / "a.xdf")
    *streams, markers, nothing = read_xdf(tmp_path / "a.xdf")
    for dtype, stream in zip(DTYPES, streams, strict=True):
        assert stream.data.dtype == np.dtype(dtype)
        np.testing.assert_array_equal(stream.data, data[dtype])
        np.testing.assert_array_equal(stream.times_s, times)
        assert (stream.name, stream.kind, stream.sample_rate, stream.units) == (dtype, "EEG", 50.0, "uV")
        assert stream.channels == ("x", "y", "z")
        assert stream.clock_offsets == ((11.0, -0.5), (12.0, -0.5))
    assert markers.data.tolist() == [["go"], ["größer & <less>"]]
    assert (markers.source_id, markers.times_s.tolist()) == ("keyboard", [10.5, 11.5])
    assert nothing.data.shape == (0, 2)


def test_pyxdf_reads_it(tmp_path):
    pyxdf = pytest.importorskip("pyxdf")
    data, times = write(tmp_path / "a.xdf")
    streams, header = pyxdf.load_xdf(tmp_path / "a.xdf", dejitter_timestamps=False)
    assert header["info"]["version"] == ["1.0"]
    found = {stream["info"]["name"][0]: stream for stream in streams}
    for dtype in DTYPES:
        stream = found[dtype]
        np.testing.assert_array_equal(stream["time_series"], data[dtype])
        np.testing.assert_allclose(stream["time_stamps"], times - 0.5)
        assert stream["footer"]["info"]["sample_count"] == ["100"]
        channels = stream["info"]["desc"][0]["channels"][0]["channel"]
        assert [one["label"][0] for one in channels] == ["x", "y", "z"]
    assert found["markers"]["time_series"] == [["go"], ["größer & <less>"]]


def test_samples_without_times(tmp_path):
    """LabRecorder leaves out the times of most samples of regular streams."""
    path = tmp_path / "a.xdf"
    with XdfFile(path) as file:
        file.add_stream("a", "i2", 1, sample_rate=10.0)
    samples = b"\x01\x03" + b"\x08" + struct.pack("<d", 5.0) + b"\x01\x00" + b"\x00\x02\x00" + b"\x00\x03\x00"
    content = struct.pack("<HI", 3, 1) + samples
    path.write_bytes(path.read_bytes() + b"\x01" + bytes([len(content)]) + content)
    (stream,) = read_xdf(path)
    assert stream.data[:, 0].tolist() == [1, 2, 3]
    np.testing.assert_allclose(stream.times_s, [5.0, 5.1, 5.2])


def test_what_was_cut_off_is_read_up_to_there(tmp_path):
    write(tmp_path / "a.xdf")
    whole = (tmp_path / "a.xdf").read_bytes()
    for size in range(4, len(whole), 997):
        (tmp_path / "b.xdf").write_bytes(whole[:size])
        for stream in read_xdf(tmp_path / "b.xdf"):
            assert len(stream.data) == len(stream.times_s) in {0, 2, 60, 100}


@given(place=st.integers(0, 10**6), noise=st.binary(min_size=1, max_size=12))
def test_damage_is_noticed_or_harmless(tmp_path_factory, place, noise):
    path = tmp_path_factory.mktemp("xdf") / "a.xdf"
    with XdfFile(path) as file:
        number = file.add_stream("a", "f4", 2, sample_rate=10.0)
        file.append(number, np.ones((5, 2), "f4"), np.arange(5.0))
    content = bytearray(path.read_bytes())
    place %= len(content)
    content[place : place + len(noise)] = noise
    path.write_bytes(content)
    with contextlib.suppress(DataError):
        for stream in read_xdf(path):
            assert len(stream.data) == len(stream.times_s)


def test_what_does_not_fit(tmp_path):
    with XdfFile(tmp_path / "a.xdf") as file:
        for dtype, channels in (("u2", 1), ("c8", 1), ("f4", 0), ("M8[s]", 1)):
            with pytest.raises(LayoutError):
                file.add_stream("a", dtype, channels)
        number = file.add_stream("a", "f4", 2)
        for data, times in (
            (np.ones((3, 2)), [1, 2, 3]),
            (np.ones((3, 3), "f4"), [1, 2, 3]),
            (np.ones((3, 2), "f4"), [1]),
        ):
            with pytest.raises(LayoutError):
                file.append(number, data, times)
        with pytest.raises(NotFoundError):
            file.append(7, np.ones((1, 2), "f4"), [0.0])
    with pytest.raises(ResourceError, match="exists"):
        XdfFile(tmp_path / "a.xdf")
    with pytest.raises(ResourceError):
        read_xdf(tmp_path / "none.xdf")
    (tmp_path / "b.xdf").write_text("something else")
    with pytest.raises(DataError, match="begin with"):
        read_xdf(tmp_path / "b.xdf")
    with pytest.raises(DataError, match="at most"):
        read_xdf(tmp_path / "a.xdf", limit=10)
