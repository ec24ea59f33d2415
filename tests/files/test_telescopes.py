"""Recordings of telescopes: round trips, rings, gaps, and headers that lie."""

import struct

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import labdaq
from labdaq.errors import ClosedError, DataError, LabdaqError, LayoutError, ResourceError, SpanError
from labdaq.files import (
    DadaFile,
    GuppiFile,
    SigprocFile,
    open_frames,
    write_dada,
    write_guppi,
    write_sigproc,
)

CI8 = np.dtype([("re", "i1"), ("im", "i1")])
CI16 = np.dtype([("re", "i2"), ("im", "i2")])
FIL = {"tsamp": 1e-3, "tstart": 60000.5, "fch1": 1500.0, "foff": -1.0, "source_name": "B0329+54", "telescope_id": 6}
DADA = {"TSAMP": 2.0, "UTC_START": "2023-02-25-12:00:00.25", "FREQ": 1400.0, "BW": 16.0, "SOURCE": "B0329+54"}
RAW = {"TBIN": 1e-6, "STT_IMJD": 60000, "STT_SMJD": 43200, "OBSFREQ": 1500.0, "OBSBW": 4.0, "SRC_NAME": "B0329+54"}
NOON_NS = 1677326400 * 10**9


def numbers(shape, dtype, seed=1):
    nbytes = int(np.prod(shape)) * np.dtype(dtype).itemsize
    raw = np.random.default_rng(seed).integers(0, 120, nbytes, np.uint8)
    return raw.view(dtype).reshape(shape)


class TestSigproc:
    @pytest.mark.parametrize("dtype", ["u1", "u2", "i1", "i2", "f4"])
    def test_what_is_written_is_read(self, tmp_path, dtype):
        data = numbers((7, 2, 16), dtype)
        write_sigproc(tmp_path / "x.fil", data, FIL)
        with SigprocFile(tmp_path / "x.fil") as file:
            assert np.array_equal(file.read(), data)
            assert file.read().dtype == np.dtype(dtype)
            assert {key: file.header[key] for key in FIL} == FIL
            assert file.stretches[0].time_tag == NOON_NS
            assert [(t - NOON_NS) // 10**6 for _, t in file] == list(range(7))

    @pytest.mark.parametrize("nbits", [1, 2, 4])
    def test_packed_numbers_begin_in_the_lowest_bits(self, tmp_path, nbits):
        data = numbers((3, 1, 4), "u1")
        write_sigproc(tmp_path / "x.fil", data, FIL, nbits=nbits)
        with SigprocFile(tmp_path / "x.fil") as file:
            assert file.stretches[0].tensor.shape == (1, 32 // nbits)
            assert np.array_equal(file.read(), data)
            unpacked = labdaq.kernels.unpack(file.read(), f"u{nbits}", order="little")
        assert unpacked[0, 0, 0] == data[0, 0, 0] & ((1 << nbits) - 1)

    def test_half_a_spectrum_at_the_end_is_told(self, tmp_path):
        write_sigproc(tmp_path / "x.fil", numbers((3, 1, 8), "f4"), FIL)
        whole = (tmp_path / "x.fil").read_bytes()
        (tmp_path / "x.fil").write_bytes(whole[:-5])
        with SigprocFile(tmp_path / "x.fil") as file:
            assert (len(file), file.trailing) == (2, 27)

    def test_a_table_of_frequencies(self, tmp_path):
        write_sigproc(tmp_path / "x.fil", numbers((3, 1, 2), "u1"), FIL)
        text = b"".join(struct.pack("<i", len(k)) + k for k in (b"FREQUENCY_START", b"fchannel"))
        table = text + struct.pack("<d", 1500.0) + struct.pack("<i", 13) + b"FREQUENCY_END"
        raw = (
            (tmp_path / "x.fil")
            .read_bytes()
            .replace(struct.pack("<i", 10) + b"HEADER_END", table + b"\n\0\0\0HEADER_END")
        )
        (tmp_path / "x.fil").write_bytes(raw)
        with SigprocFile(tmp_path / "x.fil") as file:
            assert file.header["frequencies_mhz"] == [1500.0]
            assert len(file) == 3

    @pytest.mark.parametrize(
        "wrong",
        [{"nchans": 0}, {"nchans": -1}, {"nchans": 2**30}, {"nbits": 7}, {"nifs": 999}, {"tsamp": -1.0},
         {"tsamp": np.nan}, {"tstart": 1e300}, {"data_type": 6}, {"nchans": 2**24, "nifs": 64}],
    )  # fmt: skip
    def test_a_header_that_lies_is_refused(self, tmp_path, wrong):
        write_sigproc(tmp_path / "x.fil", numbers((3, 1, 8), "f4"), FIL)
        raw = (tmp_path / "x.fil").read_bytes()
        for key, value in wrong.items():
            code = "<d" if isinstance(value, float) else "<i"
            at = raw.index(key.encode()) + len(key)
            raw = raw[:at] + struct.pack(code, value) + raw[at + struct.calcsize(code) :]
        (tmp_path / "x.fil").write_bytes(raw)
        with pytest.raises(DataError, match=r"x\.fil"):
            SigprocFile(tmp_path / "x.fil")

    @pytest.mark.parametrize(
        ("data", "header", "nbits"),
        [
            (np.zeros((2, 2), "f8"), FIL, None),
            (np.zeros(3, "u1"), FIL, None),
            (np.zeros((2, 2), "u1"), FIL, 3),
            (np.zeros((2, 2), "u1"), {"colour": 1}, None),
            (np.zeros((2, 2), "u1"), {"telescope_id": 2**40}, None),
        ],
    )
    def test_what_does_not_fit_is_not_written(self, tmp_path, data, header, nbits):
        with pytest.raises(LayoutError):
            write_sigproc(tmp_path / "x.fil", data, header, nbits=nbits)
        assert list(tmp_path.iterdir()) == []


class TestDada:
    @pytest.mark.parametrize("dtype", ["i1", "i2", "f4", "c8", CI8, CI16])
    def test_what_is_written_is_read(self, tmp_path, dtype):
        data = numbers((20, 4, 2), dtype)
        write_dada(tmp_path / "x.dada", data, DADA)
        with DadaFile(tmp_path / "x.dada") as file:
            assert file.read().tobytes() == data.tobytes()
            assert file.read().dtype == data.dtype
            assert {key: file.header[key] for key in DADA} == DADA
            assert file.stretches[0].time_tag == NOON_NS + 250_000_000
            assert file.stretches[0].frame_ns == 2000

    def test_a_file_that_is_not_the_first_begins_later(self, tmp_path):
        data = numbers((20, 4, 2), CI8)
        write_dada(tmp_path / "x.dada", data, DADA | {"OBS_OFFSET": 16 * 1000})
        with DadaFile(tmp_path / "x.dada") as file:
            assert file.stretches[0].time_tag == NOON_NS + 250_000_000 + 1000 * 2000

    def test_larger_headers_and_comments(self, tmp_path):
        text = "# a comment\nHDR_SIZE 8192 # bytes\nNBIT 8\nNDIM 1\nNCHAN 2\nTSAMP 0.5\nORDER TPF\nNPOL 3\n"
        (tmp_path / "x.dada").write_bytes(text.encode().ljust(8192, b"\0") + bytes(range(13)))
        with DadaFile(tmp_path / "x.dada") as file:
            assert file.read().shape == (2, 3, 2)
            assert file.trailing == 1

    @pytest.mark.parametrize(
        "wrong",
        ["HDR_SIZE 0", "HDR_SIZE -9", "HDR_SIZE 1e12", "NBIT 7", "NBIT x", "NDIM 9", "NCHAN 0", "NCHAN 1e18", "TSAMP 0",
         "TSAMP soon", "UTC_START now", "ORDER FTP", "NPOL nan", "OBS_OFFSET 1e400"],
    )  # fmt: skip
    def test_a_header_that_lies_is_refused(self, tmp_path, wrong):
        text = f"HDR_SIZE 4096\nNBIT 8\nNCHAN 2\nTSAMP 0.5\n{wrong}\n"
        (tmp_path / "x.dada").write_bytes(text.encode().ljust(4096, b"\0") + bytes(64))
        with pytest.raises(DataError):
            DadaFile(tmp_path / "x.dada")

    def test_what_does_not_fit_is_not_written(self, tmp_path):
        for data, header in (
            (np.zeros((2, 2)), DADA),
            (np.zeros((2, 2, 2), "f4"), {"A": "x\ny"}),
            (np.zeros((1, 1, 1), "i1"), {"A": "x" * 5000}),
        ):
            with pytest.raises(LayoutError):
                write_dada(tmp_path / "x.dada", data, header)
        assert list(tmp_path.iterdir()) == []


class TestGuppi:
    @pytest.mark.parametrize("directio", [0, 1])
    @pytest.mark.parametrize(("dtype", "pols"), [(CI8, 1), (CI8, 2), (CI16, 2), ("u1", 2)])
    def test_what_is_written_is_read(self, tmp_path, dtype, pols, directio):
        data = numbers((3, 4, 50, pols), dtype)
        write_guppi(tmp_path / "x.raw", data, RAW | {"DIRECTIO": directio})
        with GuppiFile(tmp_path / "x.raw") as file:
            assert file.read().tobytes() == data.tobytes()
            assert {key: file.header[key] for key in RAW} == RAW
            assert [b.time_tag - NOON_NS for b in file.blocks(1)] == [0, 50_000, 100_000]

    def test_samples_of_an_overlap_are_given_once(self, tmp_path):
        data = numbers((3, 4, 50, 2), CI8)
        write_guppi(tmp_path / "x.raw", data, RAW | {"OVERLAP": 10})
        with GuppiFile(tmp_path / "x.raw") as file:
            assert np.array_equal(file.read(), data[:, :, :40])
            assert file.stretches[0].frame_ns == 40_000

    def test_after_a_gap_another_stretch_begins(self, tmp_path):
        data = numbers((6, 2, 20, 1), CI8)
        write_guppi(tmp_path / "x.raw", data, RAW)
        raw = (tmp_path / "x.raw").read_bytes()
        size = len(raw) // 6
        (tmp_path / "x.raw").write_bytes(raw[: 2 * size] + raw[3 * size : -7])  # block 2 is lost, block 5 not whole
        with GuppiFile(tmp_path / "x.raw") as file, labdaq.Ring() as ring:
            assert [(s.begin, s.nframe) for s in file.stretches] == [(0, 2), (2, 2)]
            assert [s.time_tag - NOON_NS for s in file.stretches] == [0, 60_000]
            assert file.trailing == size - 7
            assert np.array_equal(file.read(2), data[3:5])
            with pytest.raises(SpanError, match="left in this stretch"):
                file.read(1, 3)
            ring.resize(1, 1 << 12)
            assert file.into(ring) == 4
            assert [(s.time_tag - NOON_NS, s.header["PKTIDX"]) for s in ring.read()] == [(0, 0), (60_000, 3)]

    @pytest.mark.parametrize(
        "wrong",
        [{"NBITS": 3}, {"NPOL": 3}, {"OBSNCHAN": 0}, {"OBSNCHAN": 7}, {"BLOCSIZE": -4}, {"BLOCSIZE": 2**60},
         {"OVERLAP": 999}, {"OVERLAP": "x"}, {"TBIN": 0.0}, {"TBIN": "x"}, {"STT_IMJD": 10**9}, {"BLOCSIZE": 0}],
    )  # fmt: skip
    def test_a_header_that_lies_is_refused(self, tmp_path, wrong):
        from labdaq.files.guppi import _cards

        header = {"OBSNCHAN": 2, "NPOL": 4, "NBITS": 8, "BLOCSIZE": 800, **RAW, **wrong}
        (tmp_path / "x.raw").write_bytes(_cards(header) + bytes(800))
        with pytest.raises(DataError):
            GuppiFile(tmp_path / "x.raw")

    def test_what_does_not_fit_is_not_written(self, tmp_path):
        block = np.zeros((1, 1, 4, 1), CI8)
        for data, header in (
            (block[0], RAW),
            (block, {"MUCH_TOO_LONG": 1}),
            (block, {"A": "x" * 80}),
            (block.view("i2"), RAW),
        ):
            with pytest.raises(LayoutError):
                write_guppi(tmp_path / "x.raw", data.astype("f4") if data.dtype == "i2" else data, header)
        assert list(tmp_path.iterdir()) == []


def examples(folder):
    write_sigproc(folder / "a", numbers((50, 2, 8), "u1"), FIL)
    write_dada(folder / "b", numbers((50, 4, 2), CI8), DADA)
    write_guppi(folder / "c", numbers((5, 2, 20, 2), CI8), RAW)
    return [folder / name for name in "abc"]


class TestAll:
    def test_the_first_bytes_say_which_it_is(self, tmp_path):
        kinds = []
        for path in examples(tmp_path):
            with open_frames(path) as file:
                kinds.append(type(file))
        assert kinds == [SigprocFile, DadaFile, GuppiFile]
        (tmp_path / "d").write_bytes(b"something else")
        with pytest.raises(DataError, match="neither"):
            open_frames(tmp_path / "d")
        with pytest.raises(ResourceError):
            open_frames(tmp_path / "e")

    def test_a_ring_has_what_the_file_has(self, tmp_path):
        for path in examples(tmp_path):
            with open_frames(path) as file, labdaq.Ring() as ring:
                stretch = file.stretches[0]
                ring.resize(stretch.tensor.frame_nbytes, len(file) * stretch.tensor.frame_nbytes)
                assert file.into(ring, gulp=3) == len(file)
                with ring.open_earliest_sequence() as sequence:
                    assert sequence.time_tag == stretch.time_tag
                    assert sequence.tensor == stretch.tensor
                    assert dict(sequence.header) == dict(file.header)
                    parts = [span.data.copy() for span in sequence.read(3)]
                assert np.array_equal(np.concatenate(parts), file.read())

    def test_it_is_a_source_of_a_pipeline(self, tmp_path):
        found = []
        path = examples(tmp_path)[0]
        with open_frames(path) as file:
            expected = list(file)
        with open_frames(path) as file, labdaq.Pipeline("replay", store=None) as daq:
            ring = daq.ring("spectra", dtype=file.dtype, shape=file.shape, capacity=16)
            daq.source(file, ring)
            daq.sink(lambda event: found.append((event.timestamp_ns, event.data.copy())), ring)
            daq.run()
        assert [t for t, _ in found] == [t for _, t in expected]
        assert np.array_equal([d for _, d in found], [d for d, _ in expected])

    def test_blocks_and_what_is_not_there(self, tmp_path):
        with open_frames(examples(tmp_path)[0]) as file:
            assert [len(block.data) for block in file.blocks(20)] == [20, 20, 10]
            assert [block.time_tag - NOON_NS for block in file.blocks(20)] == [0, 20_000_000, 40_000_000]
            for begin, count in ((50, 1), (-1, 1), (49, 2), (0, -1)):
                with pytest.raises(SpanError):
                    file.read(begin, count)
            with pytest.raises(SpanError):
                next(file.blocks(0))
        with pytest.raises(ClosedError):
            file.read()

    def test_a_file_that_becomes_shorter_is_told(self, tmp_path):
        path = examples(tmp_path)[1]
        with open_frames(path) as file:
            path.write_bytes(path.read_bytes()[:4200])
            with pytest.raises(ResourceError, match="early"):
                file.read()

    @settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(data=st.data())
    def test_damaged_files_are_refused_or_read(self, tmp_path, data):
        path = data.draw(st.sampled_from(examples_once(tmp_path)))
        raw = bytearray(path.read_bytes())
        for _ in range(data.draw(st.integers(1, 4))):
            raw[data.draw(st.integers(0, min(len(raw), 600) - 1))] = data.draw(st.integers(0, 255))
        damaged = tmp_path / "damaged"
        damaged.write_bytes(raw[: data.draw(st.sampled_from([len(raw), len(raw) // 2, 300, 17, 0]))])
        try:
            with open_frames(damaged) as file:
                assert sum(len(block.data) for block in file.blocks(1024)) == len(file)
        except LabdaqError:
            return


def examples_once(folder):
    return [folder / name for name in "abc"] if (folder / "a").exists() else examples(folder)
