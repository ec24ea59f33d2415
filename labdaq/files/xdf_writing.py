"""Writing XDF files, stream by stream and chunk by chunk."""

import struct
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import numpy.typing as npt

from labdaq.errors import LayoutError, NotFoundError
from labdaq.files.place import AppendedFile
from labdaq.files.table import PathLike
from labdaq.files.xdf_chunks import FORMATS, MAGIC, Tag, chunk, sample_record

__all__ = ["XdfFile"]

_NAMES = {np.dtype(code): name for name, code in FORMATS.items()}
_MOST_SAMPLES = 1 << 16


class XdfFile:
    """Writes streams into an XDF file, chunk after chunk; a context manager.

    What was written can be read at any time; `close` adds the footers.

    Parameters
    ----------
    path : path-like
        The file.
    overwrite : bool
        Replace an existing file; without it that is an error.

    Raises
    ------
    ResourceError
        If the file exists, or the system refuses to write it.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "run.xdf"
    >>> with XdfFile(path) as file:
    ...     number = file.add_stream("signals", np.float32, 2, sample_rate=100.0, units="mV")
    ...     file.append(number, np.ones((3, 2), np.float32), [0.01, 0.02, 0.03])
    >>> from labdaq.files.xdf import read_xdf
    >>> stream, = read_xdf(path)
    >>> stream.name, stream.data.shape, stream.times_s.tolist()
    ('signals', (3, 2), [0.01, 0.02, 0.03])
    """

    def __init__(self, path: PathLike, *, overwrite: bool = False) -> None:
        self._file = AppendedFile(Path(path), overwrite=overwrite)
        self._streams: dict[int, _Written] = {}
        self._is_closed = False
        info = ET.Element("info")
        ET.SubElement(info, "version").text = "1.0"
        self._file.append(MAGIC + chunk(Tag.FILE_HEADER, ET.tostring(info)))

    def add_stream(
        self,
        name: str,
        dtype: npt.DTypeLike,
        channel_count: int,
        *,
        sample_rate: float = 0.0,
        kind: str = "",
        channels: Sequence[str] = (),
        units: str = "",
        source_id: str = "",
    ) -> int:
        """Begin a stream; its number.

        Parameters
        ----------
        name : str
            Of the stream.
        dtype : dtype
            float32, float64 or an integer of 8 to 64 bits with a sign; ``str`` for texts.
        channel_count : int
            Values of a sample.
        sample_rate : float
            Hz; 0 for events that come when they like.
        kind, units, source_id : str
            What it is, in which unit, and a name that stays the same over restarts.
        channels : sequence of str
            Names of the channels.

        Raises
        ------
        LayoutError
            XDF has no such values.
        """
        wanted = np.dtype(dtype)
        form = "string" if wanted.kind == "U" else _NAMES.get(wanted.newbyteorder("="), "")
        if not form or channel_count < 1:
            raise LayoutError(
                f"{channel_count} channels of {wanted}: XDF has one or more of {', '.join(FORMATS)}, or of texts"
            )
        number = len(self._streams) + 1
        self._streams[number] = _Written(form, channel_count)
        texts = {
            "name": name,
            "type": kind,
            "channel_count": str(channel_count),
            "nominal_srate": repr(float(sample_rate)),
            "channel_format": form,
            "source_id": source_id,
            "created_at": "0.0",
        }
        header = _described(texts, channels or [""] * (channel_count if units else 0), units)
        self._file.append(chunk(Tag.STREAM_HEADER, struct.pack("<I", number) + header))
        return number

    def append(self, number: int, data: npt.ArrayLike, times_s: npt.ArrayLike) -> None:
        """Write samples, each with its time in seconds.

        Raises
        ------
        LayoutError
            They are not of this stream, or there is not a time for each.
        """
        stream = self._stream(number)
        samples, times = np.asarray(data), np.asarray(times_s, np.float64)
        samples = samples[:, None] if samples.ndim == 1 and stream.channels == 1 else samples
        if samples.shape != (len(times), stream.channels) or times.ndim != 1:
            raise LayoutError(f"samples of shape {samples.shape}, {times.shape} times, and {stream.channels} channels")
        for begin in range(0, len(times), _MOST_SAMPLES):
            part = slice(begin, begin + _MOST_SAMPLES)
            self._file.append(chunk(Tag.SAMPLES, struct.pack("<I", number) + stream.packed(samples[part], times[part])))

    def add_clock_offset(self, number: int, at_s: float, offset_s: float) -> None:
        """At a time of this machine's clock, what has to be added to the times of a stream (seconds)."""
        self._stream(number).clock_offsets.append((at_s, offset_s))
        self._file.append(chunk(Tag.CLOCK_OFFSET, struct.pack("<Idd", number, at_s, offset_s)))

    def _stream(self, number: int) -> "_Written":
        if number not in self._streams:
            raise NotFoundError(
                f"there is no stream {number}; there are {', '.join(map(str, self._streams)) or 'none'}"
            )
        return self._streams[number]

    def close(self) -> None:
        """Write the footers and close the file. Twice is allowed."""
        if self._is_closed:
            return
        self._is_closed = True
        try:
            for number, stream in self._streams.items():
                self._file.append(chunk(Tag.STREAM_FOOTER, struct.pack("<I", number) + stream.footer()))
        finally:
            self._file.close()

    def __enter__(self) -> "XdfFile":
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()


class _Written:
    """A stream that is being written."""

    def __init__(self, form: str, channels: int) -> None:
        self.form, self.channels = form, channels
        self.clock_offsets: list[tuple[float, float]] = []
        self._count = 0
        self._first = self._last = 0.0

    def packed(self, samples: npt.NDArray[Any], times: npt.NDArray[np.float64]) -> bytes:
        """Samples with their times, as they are in a chunk."""
        self._first = float(times[0]) if not self._count else self._first
        self._last = float(times[-1])
        self._count += len(times)
        head = b"\x04" + struct.pack("<I", len(times))
        if self.form == "string":
            parts = [
                b"\x08" + struct.pack("<d", time) + b"".join(_text(value) for value in row)
                for time, row in zip(times, samples, strict=True)
            ]
            return head + b"".join(parts)
        wanted = np.dtype(FORMATS[self.form])
        if samples.dtype.newbyteorder("=") != wanted.newbyteorder("="):
            raise LayoutError(f"samples of {samples.dtype}, and the stream holds {self.form}: use astype()")
        records = np.empty(len(times), sample_record(wanted, self.channels))
        records["flag"], records["time"], records["values"] = 8, times, samples
        return head + records.tobytes()

    def footer(self) -> bytes:
        """What is told of it in the end."""
        span = self._last - self._first
        rate = (self._count - 1) / span if self._count > 1 and span > 0 else 0.0
        info = ET.Element("info")
        ends = {"first_timestamp": self._first, "last_timestamp": self._last}
        for tag, value in (*ends.items(), ("sample_count", self._count), ("measured_srate", rate)):
            ET.SubElement(info, tag).text = repr(value)
        offsets = ET.SubElement(info, "clock_offsets")
        for at_s, offset_s in self.clock_offsets:
            one = ET.SubElement(offsets, "offset")
            ET.SubElement(one, "time").text = repr(at_s)
            ET.SubElement(one, "value").text = repr(offset_s)
        return ET.tostring(info)


def _text(value: Any) -> bytes:
    content = str(value).encode()
    return b"\x04" + struct.pack("<I", len(content)) + content


def _described(texts: dict[str, str], channels: Iterable[str], units: str) -> bytes:
    info = ET.Element("info")
    for tag, text in texts.items():
        ET.SubElement(info, tag).text = text
    listed = ET.SubElement(ET.SubElement(info, "desc"), "channels")
    for label in channels:
        channel = ET.SubElement(listed, "channel")
        ET.SubElement(channel, "label").text = label
        ET.SubElement(channel, "unit").text = units
    return ET.tostring(info)
