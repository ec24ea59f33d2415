"""Recorded streams: a file of raw samples, and lines beside it that say which samples they are.

``name.raw`` holds the samples one after the other, as they are in memory. ``name.jsonl`` holds a JSON object in each
line: the parameters of the stream first, then *marks*, each of which says that row ``row`` of the file is sample
``index`` of the stream, and what time it was. Where row and index go apart is a gap. A recording that was cut off by a
crash has all marks up to its last rows.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labdaq.errors import DataError, NotFoundError
from labdaq.stream.layouts import fill_value
from labdaq.stream.parameters import StreamParameters
from labdaq.stream.statistics import ClockOffset

__all__ = ["RawRecording", "Segment", "open_recording"]

FORMAT = "labdaq raw stream 1"


@dataclass(frozen=True)
class Segment:
    """Samples without a gap."""

    row: int
    """Of the file, where they begin."""
    rows: int
    index: int
    """Absolute number of the first one."""
    session: int
    """Of the sender."""


@dataclass(frozen=True)
class RawRecording:
    """What was recorded of a stream."""

    parameters: StreamParameters
    data: NDArray[Any]
    """All samples, one after the other, read from the file when they are looked at."""
    segments: tuple[Segment, ...]
    times: tuple[tuple[int, int], ...]
    """Rows, and UTC in ns by the sender's clock before them."""
    clock_offsets: tuple[ClockOffset, ...]
    """How the sender's clock stood to that of the recorder."""
    is_complete: bool
    """Whether the recorder was stopped, and not killed."""

    @property
    def missing(self) -> int:
        """Samples in the gaps between segments of one session."""
        pairs = zip(self.segments, self.segments[1:], strict=False)
        return sum(b.index - a.index - a.rows for a, b in pairs if a.session == b.session)

    def filled(self, session: int | None = None) -> NDArray[Any]:
        """The samples of a session (the last one by default), with the fill value where some are missing.

        Raises
        ------
        NotFoundError
            Nothing was recorded of it.
        """
        wanted = self.segments[-1].session if session is None and self.segments else session
        segments = [one for one in self.segments if one.session == wanted]
        if not segments:
            raise NotFoundError(f"nothing was recorded of session {session}")
        begin, last = segments[0].index, segments[-1]
        fill = fill_value(self.data.dtype, self.parameters.fill)
        whole = np.full((last.index + last.rows - begin, *self.data.shape[1:]), fill, self.data.dtype)
        for one in segments:
            whole[one.index - begin : one.index - begin + one.rows] = self.data[one.row : one.row + one.rows]
        return whole


def open_recording(path: str | Path) -> RawRecording:
    """A recording, by the path of its ``.raw`` file.

    Raises
    ------
    NotFoundError
        There is none.
    DataError
        It is damaged.
    """
    raw = Path(path).with_suffix(".raw")
    try:
        head, *lines = _lines(raw.with_suffix(".jsonl").read_text(encoding="utf-8"))
        size = raw.stat().st_size
    except OSError as error:
        raise NotFoundError(f"there is no recording {raw}: {error}") from error
    except ValueError as error:
        raise DataError(f"{raw.with_suffix('.jsonl')} has no first line") from error
    if head.get("format") != FORMAT:
        raise DataError(f"{raw} is {head.get('format')!r}, and {FORMAT!r} is understood")
    parameters = StreamParameters.from_json(head.get("parameters"))
    rows = size // parameters.row_nbytes
    shape = (rows, *parameters.row_shape)
    data = np.memmap(raw, parameters.dtype, "r", shape=shape) if rows else np.empty(shape, parameters.dtype)
    try:
        marks = [line for line in lines if "row" in line and line["row"] <= rows]
        return RawRecording(
            parameters=parameters,
            data=data,
            segments=_segments(marks, rows),
            times=tuple((int(mark["row"]), int(mark["timestamp_ns"])) for mark in marks),
            clock_offsets=tuple(
                ClockOffset(line["offset_ns"], line["uncertainty_ns"]) for line in lines if "offset_ns" in line
            ),
            is_complete=any(line.get("is_end") for line in marks),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"a line of {raw.with_suffix('.jsonl')} is damaged: {error!r}") from error


def _lines(text: str) -> list[dict[str, Any]]:
    """The objects in the lines; the last one may have been cut off."""
    found = []
    for line in text.splitlines():
        try:
            content = json.loads(line)
        except ValueError:
            break
        if not isinstance(content, dict):
            break
        found.append(content)
    return found


def _segments(marks: list[dict[str, Any]], rows: int) -> tuple[Segment, ...]:
    begins: list[tuple[int, int, int]] = []
    for mark in marks:
        row, index, session = int(mark["row"]), int(mark["index"]), int(mark["session"])
        goes_on = begins and begins[-1][2] == session and index - row == begins[-1][1] - begins[-1][0]
        if not goes_on and not mark.get("is_end"):
            begins.append((row, index, session))
    ends = [row for row, _index, _session in begins[1:]] + [rows]
    return tuple(
        Segment(row, end - row, index, session) for (row, index, session), end in zip(begins, ends, strict=True)
    )
