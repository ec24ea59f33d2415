"""What a capture puts into a ring, kept in a folder: a file of frames for each sequence, as NumPy reads them."""

import contextlib
import json
import math
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from labdaq.errors import ResourceError
from labdaq.packet.capture import PacketCapture
from labdaq.packet.ledger import Ledger
from labdaq.ring import ReadSequence, ReadSpan, Ring, SequenceReader

__all__ = ["FrameFolder", "GrowingArray", "keep"]

_LOOK_S = 0.1


class GrowingArray:
    """An array in a ``.npy`` file that grows by rows. What was added is readable as soon as it is closed.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with GrowingArray(Path(folder) / "a.npy") as array:
    ...         array.add(np.ones((2, 3)))
    ...         array.add(np.zeros((1, 3)))
    ...     np.load(Path(folder) / "a.npy").shape
    (3, 3)
    """

    def __init__(self, path: Path) -> None:
        self._path, self._rows = path, 0
        self._kind: tuple[np.dtype[Any], tuple[int, ...]] | None = None
        self._file: BinaryIO = _opened(path)

    def add(self, rows: NDArray[Any]) -> None:
        """More rows, all of one dtype and shape.

        Raises
        ------
        ResourceError
            When the disk is full; what was added before is there.
        """
        try:
            if self._kind is None:
                self._kind = rows.dtype, rows.shape[1:]
                self._write_header()
            self._file.write(np.ascontiguousarray(rows).data)
        except OSError as error:
            raise ResourceError.of(error, "keeping frames", self._path) from error
        self._rows += len(rows)

    def _write_header(self) -> None:
        """NumPy leaves room in it for the first axis to grow, so that it can be written again."""
        if self._kind is not None:
            dtype, shape = self._kind
            header = {
                "descr": np.lib.format.dtype_to_descr(dtype),
                "fortran_order": False,
                "shape": (self._rows, *shape),
            }
            np.lib.format.write_array_header_1_0(self._file, header)

    def close(self) -> None:
        """Say in the header how many rows there are."""
        if not self._file.closed:
            with self._file:
                self._file.seek(0)
                self._write_header()

    def __enter__(self) -> "GrowingArray":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class FrameFolder:
    """A folder of captured frames: of each sequence ``<name>.npy``, ``<name>.present.npy`` and ``<name>.json``.

    Parameters
    ----------
    folder
        Made if it is not there.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.frames = 0
        """Frames kept."""
        self._sequence: ReadSequence | None = None
        self._name = ""
        self._arrays: list[GrowingArray] = []
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ResourceError.of(error, "making a folder for frames", self.folder) from error

    def add(self, sequence: ReadSequence, span: ReadSpan) -> None:
        """The next frames of a sequence."""
        if sequence is not self._sequence:
            self._begin(sequence)
        for array, rows in zip(self._arrays, (span.data, span.planes["present"]), strict=True):
            array.add(rows)
        self.frames += span.nframe

    def _begin(self, sequence: ReadSequence) -> None:
        self._end()
        self._sequence, self._name, number = sequence, sequence.name, 1
        while (self.folder / f"{self._name}.json").exists():  # of an earlier capture
            self._name, number = f"{sequence.name}-{number}", number + 1
        described = {"name": sequence.name, "time_tag": sequence.time_tag, "header": dict(sequence.header)}
        self._write(f"{self._name}.json", described)
        self._arrays = [GrowingArray(self.folder / f"{self._name}{kind}.npy") for kind in ("", ".present")]

    def _end(self) -> None:
        for array in self._arrays:
            array.close()
        self._arrays = []

    def _write(self, name: str, content: Any) -> None:
        try:
            (self.folder / name).write_text(json.dumps(content, indent=1, default=_plain) + "\n", encoding="utf-8")
        except OSError as error:
            raise ResourceError.of(error, "keeping frames", self.folder / name) from error

    def close(self, ledger: Ledger | None = None) -> None:
        """Close all files; keep the balance as ``ledger.txt``."""
        self._end()
        if ledger is not None:
            (self.folder / "ledger.txt").write_text(f"{ledger}\n", encoding="utf-8")


def _opened(path: Path) -> BinaryIO:
    try:
        return path.open("wb")
    except OSError as error:
        raise ResourceError.of(error, "keeping frames", path) from error


def _plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else str(value)


def keep(capture: PacketCapture, ring: Ring, folder: str | Path, seconds: float | None = None) -> Ledger:
    """Capture for a while, and keep all frames in a folder. An interrupt ends it early; what came is kept.

    Parameters
    ----------
    capture
        Into `ring`; it is closed afterwards.
    ring
        Without other readers, or they hold the capture back, too.
    folder
        See :class:`FrameFolder`.
    seconds
        How long; None until it is interrupted, or the capture ends.

    Returns
    -------
    Ledger
        The balance, which is kept as ``ledger.txt``, too.

    Raises
    ------
    ResourceError
        When the disk does not take the frames; those before are kept.
    """
    frames, reader = FrameFolder(folder), ring.read()
    errors: list[BaseException] = []
    thread = threading.Thread(
        target=_keep_all, args=(reader, capture.ntime_gulp, frames, errors), name="labdaq-keeping", daemon=True
    )
    thread.start()
    end = math.inf if seconds is None else time.monotonic() + seconds
    try:
        capture.start()
        with contextlib.suppress(KeyboardInterrupt):
            while (
                time.monotonic() < end
                and not errors
                and not capture.wait(min(_LOOK_S, max(0.0, end - time.monotonic())))
            ):
                pass
    finally:
        capture.close()
        thread.join()
        ledger = capture.ledger()
        frames.close(ledger)
    for error in errors:
        raise error
    return ledger


def _keep_all(reader: SequenceReader, nframe: int, frames: FrameFolder, errors: list[BaseException]) -> None:
    with reader:
        try:
            for sequence in reader:
                for span in sequence.read(nframe):
                    frames.add(sequence, span)
        except Exception as error:  # noqa: BLE001 - raised by who waits
            errors.append(error)
