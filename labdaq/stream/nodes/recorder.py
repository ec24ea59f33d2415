"""Recording streams as raw samples, with gaps marked."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from labdaq.errors import LabdaqError, ResourceError, StateError
from labdaq.files.place import AppendedFile
from labdaq.stream.input import InputStream
from labdaq.stream.node import ThreadNode
from labdaq.stream.nodes.recordings import FORMAT
from labdaq.stream.output import OutputStream

__all__ = ["RawRecorder"]

_MARK_NS = 10_000_000_000


class RawRecorder(ThreadNode):
    """Writes each of several streams to files of its own: samples as they were sent, and where they belong.

    `configure` takes ``folder``, which is made, and ``streams={name: sender}``: outputs, addresses or names. Read the
    files with `open_recording`. Samples that are missing are not in the file: lines beside it mark the gaps.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from labdaq.stream.nodes.recordings import open_recording
    >>> folder = Path(tempfile.mkdtemp()) / "run"
    >>> with OutputStream().configure(protocol="inproc", dtype="i2") as out, RawRecorder() as node:
    ...     node.configure(folder=folder, streams={"signals": out})
    ...     node.initialize()
    ...     node.start()
    ...     _ = out.send(np.arange(3, dtype="i2")), out.send(np.arange(2, dtype="i2"), index=7)
    ...     out.drain(5)
    >>> recording = open_recording(folder / "signals.raw")
    >>> recording.data.tolist(), recording.filled().tolist()
    ([0, 1, 2, 0, 1], [0, 1, 2, 0, 0, 0, 1])
    """

    def _configure(  # type: ignore[override]
        self, *, folder: str | Path, streams: Mapping[str, OutputStream | str]
    ) -> None:
        self._folder = Path(folder)
        for inp in self.inputs.values():
            inp.close()
        self._files: dict[str, _Files] = {}
        self.inputs = {}
        for name, sender in streams.items():
            if not name or "/" in name or name.startswith("."):
                raise StateError(f"stream {name!r} cannot name a file")
            self.inputs[name] = InputStream(raw=True).connect(sender)

    def _initialize(self) -> None:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ResourceError.of(error, "making a folder for recordings", self._folder) from error
        self._close_files()
        for name, inp in self.inputs.items():
            self._files[name] = _Files(self._folder / name, inp)

    def restarted(self, name: str) -> None:
        """The next mark says that it is another session."""

    def receive(self, name: str, index: int, data: NDArray[Any]) -> None:
        """Write a chunk."""
        self._files[name].write(index, data)

    def _close(self) -> None:
        self._close_files()

    def _close_files(self) -> None:
        while self._files:
            self._files.popitem()[1].close()


class _Files:
    """The two files of one stream."""

    def __init__(self, path: Path, inp: InputStream) -> None:
        self._path, self._inp = path, inp
        self._row = self._last_stamp = 0
        self._expected: tuple[int, int] | None = None
        self._has_head = False
        self._raw = AppendedFile(path.with_suffix(".raw"), overwrite=False)
        try:
            self._marks = AppendedFile(path.with_suffix(".jsonl"), overwrite=False)
        except BaseException:
            self._raw.close()
            raise

    def write(self, index: int, data: NDArray[Any]) -> None:
        """Write samples, and a mark where they do not follow those before."""
        last, begin = self._inp.last, index - len(data)
        stamp, session = (last.timestamp_ns, last.session) if last is not None else (0, 0)
        if not self._has_head:
            self._has_head = True
            self._say({"format": FORMAT, "parameters": self._inp.parameters.to_json()})
            self._say_clock()
        if self._expected != (session, begin) or stamp - self._last_stamp > _MARK_NS:
            self._mark(begin, session, self._inp.time_of(begin))
            self._last_stamp = stamp
        self._raw.append(data.tobytes())
        self._row += len(data)
        self._expected = session, index

    def _mark(self, index: int, session: int, timestamp_ns: int, **more: Any) -> None:
        self._say({"row": self._row, "index": index, "session": session, "timestamp_ns": timestamp_ns, **more})

    def _say_clock(self) -> None:
        try:
            offset = self._inp.clock_offset(timeout=0.5)
        except LabdaqError:  # it does not answer: then its clock is not known
            return
        self._say({"offset_ns": offset.offset_ns, "uncertainty_ns": offset.uncertainty_ns})

    def _say(self, content: dict[str, Any]) -> None:
        self._marks.append(json.dumps(content).encode() + b"\n")

    def close(self) -> None:
        """Mark the end."""
        try:
            if self._expected is not None:
                session, index = self._expected
                self._mark(index, session, self._inp.time_of(index), is_end=True)
        finally:
            self._raw.close()
            self._marks.close()
