"""Files, messages and suites of garbage: read as what they say, or refused with an error of labdaq."""

from pathlib import Path

import numpy as np
import pytest

from labdaq import files
from labdaq.errors import DataError, LabdaqError
from labdaq.files.xdf import XdfFile
from labdaq.pipeline.suite import load_suite
from labdaq.stream import StreamParameters, header, layouts
from labdaq.stream.header import ChunkHead, Kind
from tests.promises.garbling import garbled
from tests.promises.peak import Peak

RECORDS = np.array([(n, n * 0.25, b"ok") for n in range(20)], [("n", "i4"), ("delay", "f4"), ("flag", "S4")])
POWERS = np.arange(160, dtype="u1").reshape(10, 16)
GROWTH_NBYTES = 256 << 20
SUITE = b"""name: muon
rings:
  raw: {capacity: 128}
  pulses: {dtype: {decay_time: float64, n: int32}, capacity: 4096}
workers:
  detector: {source: labdaq.sim.MuonDetector, settings: {seed: 1}, writes: raw}
  table: {sink: pulses.csv, reads: raw}
limits: {events: 10, seconds: 60}
"""


def good_files(folder: Path) -> dict[str, Path]:
    """A small file of each format that labdaq reads."""
    places = {name: folder / f"good.{name}" for name in ("csv", "parquet", "tar", "npz", "xdf", "fil", "raw", "dada")}
    with files.CsvFile(places["csv"], units={"delay": "us"}) as table:
        table.write(RECORDS)
    with files.ParquetFile(places["parquet"]) as table:
        table.write(RECORDS)
    with files.ParquetTarFile(places["tar"]) as archive:
        archive.write(RECORDS[["n", "delay"]], counter=3)
    files.write_npz(places["npz"], {"a": np.arange(9), "t": np.array("text")}, {"unit": "V"})
    with XdfFile(places["xdf"]) as streams:
        streams.append(streams.add_stream("eeg", "f4", 2, sample_rate=50.0), np.zeros((9, 2), "f4"), np.arange(9.0))
    files.write_sigproc(places["fil"], POWERS[:, None], {"tsamp": 1e-3, "fch1": 1500.0, "foff": -1.0})
    voltages = np.zeros((2, 4, 8, 2), [("re", "i1"), ("im", "i1")])
    files.write_guppi(places["raw"], voltages, {"TBIN": 1e-6, "OBSFREQ": 1500.0, "OBSBW": 4.0})
    files.write_dada(places["dada"], voltages[0], {"TSAMP": 1.0, "UTC_START": "2026-01-01-00:00:00"})
    return places


def read_frames(path: Path) -> None:
    with files.open_frames(path) as recording:
        recording.read()


READERS = {
    "csv": files.read_csv,
    "parquet": files.read_parquet,
    "tar": lambda path: list(files.read_parquet_tar(path)),
    "npz": files.read_npz,
    "xdf": files.read_xdf,
    "fil": read_frames,
    "raw": read_frames,
    "dada": read_frames,
}


@pytest.mark.promise("P6", "files of this format, garbled: bytes changed, cut out, cut off, repeated; noise")
@pytest.mark.parametrize("name", READERS)
def test_a_garbled_file_is_read_or_refused(name, tmp_path, often, saw):
    content = good_files(tmp_path)[name].read_bytes()
    count, refused = often(150, 5000), 0
    path = tmp_path / f"garbled.{name}"
    with Peak() as peak:
        for one in garbled([content], count, seed=1):
            path.write_bytes(one)
            try:
                READERS[name](path)
            except LabdaqError:
                refused += 1
    assert refused > count // 10
    assert peak.grown_nbytes < GROWTH_NBYTES
    saw(f"{count} files, {refused} refused, no foreign error")


def good_messages() -> list[bytes]:
    """One of each kind that goes over a stream."""
    parameters = StreamParameters(dtype="i2", shape=(-1, 2), protocol="tcp").to_json()
    welcome = {"session": 5, "sequence": 0, "index": 0, "parameters": parameters}
    texts = [header.pack_json(kind, welcome) for kind in (Kind.HELLO, Kind.WELCOME, Kind.REFUSED)]
    words = [header.pack_words(kind, 1, 2, 3, 4, 5) for kind in (Kind.ACK, Kind.PONG, Kind.END, Kind.BYE)]
    return [*texts, *words, ChunkHead(0, 5, 6, 0, 1, 0, 4, 1).pack()]


def understand(message: bytes) -> None:
    """What both ends of a stream do with a message, as far as it goes."""
    kind = header.kind_of(message)
    if kind is Kind.DATA:
        ChunkHead.unpack(message)
    elif kind in {Kind.HELLO, Kind.WELCOME, Kind.REFUSED}:
        content = header.unpack_json(message)
        if "parameters" in content:
            StreamParameters.from_json(content["parameters"])
        layouts.dtype_from_json(content.get("dtype", "<f4"))
    else:
        header.unpack_words(message, 5)


@pytest.mark.promise("P6", "messages of streams, garbled: heads, greetings, parameters, acknowledgements")
def test_a_garbled_message_is_understood_or_refused(often, saw):
    count, refused = often(4000, 1_000_000), 0
    for message in garbled(good_messages(), count, seed=2):
        try:
            understand(message)
        except DataError:
            refused += 1
    assert refused > count // 4
    saw(f"{count} messages, {refused} refused, no foreign error")


@pytest.mark.promise("P6", "suites in YAML, garbled")
def test_a_garbled_suite_is_read_or_refused(tmp_path, often, saw):
    count, refused = often(60, 10_000), 0
    path = tmp_path / "suite.yaml"
    for content in garbled([SUITE], count, seed=3):
        path.write_bytes(content)
        try:
            load_suite(path)
        except LabdaqError:
            refused += 1
    assert refused > count // 4
    saw(f"{count} suites, {refused} refused, no foreign error")
