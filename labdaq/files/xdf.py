"""XDF, the file format of Lab Streaming Layer's recorder: several streams in one file, each with its own clock.

`XdfFile` writes them, `read_xdf` reads what any recorder wrote.
"""

import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import numpy.typing as npt

from labdaq.errors import DataError
from labdaq.files.table import LARGEST, PathLike, check_size, reading
from labdaq.files.xdf_chunks import FORMATS, MAGIC, Tag, chunks, length, sample_record
from labdaq.files.xdf_writing import XdfFile

__all__ = ["XdfFile", "XdfStream", "read_xdf"]

_DAMAGED = (struct.error, ValueError, KeyError, IndexError, OverflowError, ET.ParseError)


@dataclass(frozen=True)
class XdfStream:
    """One stream of a file."""

    name: str
    data: npt.NDArray[Any]
    """Shape (samples, channels); numbers, or texts."""
    times_s: npt.NDArray[np.float64]
    """When each sample was taken, in seconds of the clock of its machine."""
    sample_rate: float = 0.0
    """Hz; 0 for events that come when they like."""
    kind: str = ""
    """Such as ``EEG`` or ``Markers``."""
    channels: tuple[str, ...] = ()
    units: str = ""
    source_id: str = ""
    clock_offsets: tuple[tuple[float, float], ...] = field(default=())
    """At a time of the recorder's clock (seconds), what has to be added to the stream's times (seconds)."""


def read_xdf(path: PathLike, *, limit: int = LARGEST) -> list[XdfStream]:
    """Read the streams of an XDF file, in the order in which they begin.

    A file that was cut off is read up to there. Times are those of each stream's own clock; add its
    ``clock_offsets`` to compare them.

    Parameters
    ----------
    path : path-like
        The file.
    limit : int
        Bytes that the file may have.

    Raises
    ------
    ResourceError
        If the file cannot be read.
    DataError
        If it is no XDF file, is damaged, or larger than the limit.
    """
    file = Path(path)
    with reading(file, "an XDF file", *_DAMAGED):
        check_size(file.stat().st_size, limit, str(file))
        content = file.read_bytes()
        if content[:4] != MAGIC:
            raise DataError(f"{file} is not an XDF file: it does not begin with 'XDF:'")
        found: dict[int, _Found] = {}
        for tag, chunk in chunks(content):
            if tag in {Tag.STREAM_HEADER, Tag.SAMPLES, Tag.CLOCK_OFFSET}:
                number = struct.unpack_from("<I", chunk)[0]
                if tag == Tag.STREAM_HEADER:
                    found[number] = _Found(bytes(chunk[4:]))
                elif tag == Tag.SAMPLES:
                    found[number].add_samples(chunk[4:])
                else:
                    found[number].clock_offsets.append(struct.unpack_from("<dd", chunk, 4))
        return [one.stream() for one in found.values()]


class _Found:
    """A stream that is being read."""

    def __init__(self, header: bytes) -> None:
        self._info = ET.fromstring(header)  # noqa: S314 - expat of today limits the growth of entities
        self.clock_offsets: list[Any] = []
        self._form = self._said("channel_format")
        self._channels = int(self._said("channel_count"))
        self._rate = float(self._said("nominal_srate") or 0)
        if not 0 < self._channels <= 1 << 20 or (self._form != "string" and self._form not in FORMATS):
            raise DataError(f"a stream of {self._channels} channels of {self._form!r}")
        self._data: list[npt.NDArray[Any]] = []
        self._times: list[npt.NDArray[np.float64]] = []

    def _said(self, tag: str) -> str:
        return (self._info.findtext(tag) or "").strip()

    def add_samples(self, chunk: memoryview) -> None:
        count, place = length(chunk, 0)
        if self._form != "string":
            record = sample_record(np.dtype(FORMATS[self._form]), self._channels)
            if len(chunk) - place == count * record.itemsize:
                records = np.frombuffer(chunk[place:], record)
                if (records["flag"] == 8).all():
                    self._data.append(records["values"].copy())
                    self._times.append(records["time"].copy())
                    return
        if count > len(chunk):
            raise DataError(f"{count} samples in {len(chunk)} bytes")
        self._add_one_by_one(chunk, place, count)

    def _add_one_by_one(self, chunk: memoryview, place: int, count: int) -> None:
        """Samples of which not all have a time: it is that of the one before, and the sample rate."""
        rows, times = [], []
        last = float(self._times[-1][-1]) if self._times and len(self._times[-1]) else 0.0
        for _ in range(count):
            flag, place = chunk[place], place + 1
            if flag:
                last, place = struct.unpack_from("<d", chunk, place)[0], place + 8
            else:
                last += 1 / self._rate if self._rate else 0.0
            row, place = self._row(chunk, place)
            rows.append(row)
            times.append(last)
        self._data.append(np.array(rows))
        self._times.append(np.array(times, np.float64))

    def _row(self, chunk: memoryview, place: int) -> tuple[Any, int]:
        if self._form != "string":
            dtype = np.dtype(FORMATS[self._form])
            end = place + self._channels * dtype.itemsize
            return np.frombuffer(chunk[place:end], dtype), end
        texts = []
        for _ in range(self._channels):
            size, begin = length(chunk, place)
            place = begin + size
            texts.append(bytes(chunk[begin:place]).decode(errors="replace"))
        return texts, place

    def stream(self) -> XdfStream:
        dtype = np.dtype(FORMATS.get(self._form, "U1"))
        labels = self._info.findall("desc/channels/channel")
        return XdfStream(
            name=self._said("name"),
            data=np.concatenate(self._data) if self._data else np.empty((0, self._channels), dtype),
            times_s=np.concatenate(self._times) if self._times else np.empty(0),
            sample_rate=self._rate,
            kind=self._said("type"),
            channels=tuple((one.findtext("label") or "").strip() for one in labels),
            units=next(((one.findtext("unit") or "").strip() for one in labels), ""),
            source_id=self._said("source_id"),
            clock_offsets=tuple((float(at_s), float(offset_s)) for at_s, offset_s in self.clock_offsets),
        )
