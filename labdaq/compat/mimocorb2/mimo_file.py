"""Files of events, as mimoCoRB2 saves them: a header, then data and metadata of one event after the other.

mimoCoRB2's header is a pickle, which may contain a program. Here it is read by one that makes dtypes and plain
values only. What is written here has a line of JSON instead, which says the same and can do nothing.
"""

import ast
import json
import logging
import pickle
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from labdaq.compat.mimocorb.metadata import METADATA
from labdaq.errors import DataError, LayoutError, NotFoundError, ResourceError

__all__ = ["MimoReader", "MimoWriter", "mimoFile"]

_MOST_HEADER = 1 << 20

logger = logging.getLogger("labdaq.compat.mimocorb2")

Array = npt.NDArray[Any]


class _File:
    """What reading and writing have in common."""

    def __init__(self, path: str | Path, mode: str) -> None:
        self.path = Path(path)
        try:
            self._file: BinaryIO = open(self.path, mode)  # type: ignore[assignment] # noqa: PTH123, SIM115
        except FileNotFoundError as error:
            there = ", ".join(sorted(one.name for one in self.path.parent.glob("*.mimo"))) or "none"
            raise NotFoundError(f"there is no file {self.path}; files of events there: {there}") from error
        except OSError as error:
            raise ResourceError.of(error, "opening the file", self.path) from error

    def close(self) -> None:
        """Close the file. Twice is allowed."""
        self._file.close()

    def __enter__(self) -> Any:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.close()


class MimoWriter(_File):
    """Write events to a new file.

    Parameters
    ----------
    path
        The file.
    data_dtype
        Of a value.
    data_length
        How many make an event.

    Raises
    ------
    ResourceError
        When the system refuses.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "pulses.mimo"
    >>> with MimoWriter(path, np.dtype([("A", "f4")]), 2) as file:
    ...     file.write(np.array([(1.0,), (2.0,)], file.data_dtype), np.array([(7, 1.75e9, 0.5)], METADATA))
    >>> with MimoReader(path) as file:
    ...     [(data["A"].tolist(), metadata["counter"].tolist()) for data, metadata in file]
    [([1.0, 2.0], [7])]
    """

    def __init__(self, path: str | Path, data_dtype: npt.DTypeLike, data_length: int) -> None:
        self.data_dtype, self.data_length = np.dtype(data_dtype), data_length
        self.metadata_dtype = np.dtype(METADATA)
        super().__init__(path, "wb")
        header = {
            "format": "mimo",
            "version": 2,
            "data_dtype": repr(self.data_dtype.descr),
            "data_length": data_length,
            "metadata_dtype": repr(self.metadata_dtype.descr),
            "metadata_length": 1,
        }
        self._put(json.dumps(header).encode() + b"\n")

    def write(self, data: Array, metadata: Array) -> None:
        """Add an event.

        Raises
        ------
        LayoutError
            When it is not as the header says.
        ResourceError
            When the system refuses.
        """
        event = np.asarray(data, self.data_dtype).tobytes() + np.asarray(metadata, self.metadata_dtype).tobytes()
        if len(event) != self.data_dtype.itemsize * self.data_length + self.metadata_dtype.itemsize:
            raise LayoutError(
                f"an event has {self.data_length} values of {self.data_dtype} and one of metadata; "
                f"given: shapes {np.shape(data)} and {np.shape(metadata)}"
            )
        self._put(event)

    def _put(self, content: bytes) -> None:
        try:
            self._file.write(content)
        except OSError as error:
            raise ResourceError.of(error, "writing events", self.path) from error


class MimoReader(_File):
    """Read the events of a file: iterate over it for ``(data, metadata)``, arrays that are yours.

    An event at the end that is not complete, after a crash, is left out with a warning.

    Parameters
    ----------
    path
        Of this writer, or of mimoCoRB2.

    Raises
    ------
    NotFoundError
        When there is no such file.
    DataError
        When its header is none.

    Attributes
    ----------
    data_dtype, data_length, metadata_dtype
        Of its events.
    """

    def __init__(self, path: str | Path) -> None:
        super().__init__(path, "rb")
        try:
            header = self._header()
            self.data_dtype, self.data_length = _dtype(header["data_dtype"]), int(header["data_length"])
            self.metadata_dtype, self._metadata = _dtype(header["metadata_dtype"]), int(header["metadata_length"])
            self._check()
        except Exception as error:
            self.close()
            raise DataError(f"{self.path} has no header of a file of events: {error}") from error
        self._begin = self._file.tell()

    def _check(self) -> None:
        if min(self.data_length, self._metadata, self.data_dtype.itemsize) < 1 or self.data_dtype.hasobject:
            raise DataError(f"events of {self.data_length} values of {self.data_dtype}")

    def _header(self) -> dict[str, Any]:
        line = self._file.readline(_MOST_HEADER)
        if line.startswith(b"{"):
            header: dict[str, Any] = json.loads(line)
            return header
        self._file.seek(0)
        found = _DtypesOnly(self._file).load()
        if not isinstance(found, dict):
            raise DataError(f"keys with values are wanted, not {type(found).__name__}")
        return found

    def __iter__(self) -> Iterator[tuple[Array, Array]]:
        """All events from the first on."""
        self._file.seek(self._begin)
        ndata = self.data_dtype.itemsize * self.data_length
        nevent = ndata + self.metadata_dtype.itemsize * self._metadata
        while len(event := bytearray(self._file.read(nevent))) == nevent:
            yield (
                np.frombuffer(event, self.data_dtype, self.data_length),
                np.frombuffer(event, self.metadata_dtype, offset=ndata),
            )
        if event:
            logger.warning("%s ends within an event: its last %d bytes are left out", self.path, len(event))


def _dtype(described: Any) -> np.dtype[Any]:
    dtype: np.dtype[Any] = np.dtype(ast.literal_eval(described) if isinstance(described, str) else described)
    return dtype


class _DtypesOnly(pickle.Unpickler):
    """Makes NumPy's dtypes and plain values, and nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        """The class of dtypes; a DataError for everything else."""
        if name == "dtype" and module == "numpy":
            return np.dtype
        raise DataError(f"it would call {module}.{name}: nobody can say what that does")


class mimoFile(MimoReader):  # noqa: N801
    """A file to be read, under the name that it has in mimoCoRB2."""

    @classmethod
    def from_file(cls, filename: str | Path) -> "mimoFile":
        """Open a file."""
        return cls(filename)

    def read_data(self) -> Iterator[tuple[Array | None, Array | None]]:
        """All events, and ``(None, None)`` at the end."""
        yield from self
        yield None, None
