"""The index of a stream: one record for each batch, which is its commit.

The file is a header of 4096 bytes, then records of 40, all little-endian:

=========  ======  =====================================================================================
header     type    meaning
=========  ======  =====================================================================================
0          8 s     ``labdaqIX``
8          u64     version of this layout
16         u64     records that count; the others were never acknowledged
24         u64     records that are known to be on the disk
32         u64     length + 1 when the stream is sealed, else 0
40         u64     first point that was not trimmed
48         u64     1 when the stream was deleted
56         u64     number of the machine's start in which it was last written
64         u64     length of the text at 128
128        text    JSON: what the stream is, by which a lost catalogue can be made again
=========  ======  =====================================================================================

=========  ======  =====================================================================================
record     type    meaning
=========  ======  =====================================================================================
0          u64     number of its first point
8          u64     offset of its first byte
16         u64     when it was written, UTC, ns
24         u32     points
28         u32     bytes
32         u32     CRC-32 of these bytes
36         u32     CRC-32 of this record up to here
=========  ======  =====================================================================================

Words are written after what they vouch for. A record that is only partly on the disk, after a loss of power,
shows by its CRC.
"""

import os
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple
from zlib import crc32

import numpy as np

from labdaq.errors import DataError
from labdaq.native import disk
from labdaq.native.file_memory import map_file
from labdaq.store.encoding import from_json_text, to_json_text

__all__ = ["RECORD", "Index", "Record"]

HEADER_NBYTES = 4096
MAGIC = b"labdaqIX"
VERSION = 1
COMMITTED, SYNCED, SEALED, FIRST, DELETED, BOOT, TEXT_NBYTES = range(2, 9)  # words
_TEXT = 128
_LEAST_GROWTH, _MOST_GROWTH = 16 * 1024, 8 * 2**20

RECORD = np.dtype(
    [(name, "<u8") for name in ("start", "offset", "time_ns")]
    + [(name, "<u4") for name in ("npoint", "nbytes", "payload_crc", "crc")]
)
_NBYTES = RECORD.itemsize
_pack = struct.Struct("<QQQIII").pack
_whole = struct.Struct("<QQQIIII")
_pack_into, _unpack = _whole.pack_into, _whole.unpack_from


class Record(NamedTuple):
    """One batch: which points, where their bytes are, when they were written."""

    start: int
    offset: int
    time_ns: int
    npoint: int
    nbytes: int
    payload_crc: int

    @property
    def stop(self) -> int:
        """The point behind its last."""
        return self.start + self.npoint

    @property
    def end(self) -> int:
        """The offset behind its last byte."""
        return self.offset + self.nbytes


class Index:
    """An index, mapped. The words are shared with all who have it open."""

    def __init__(self, path: Path, *, writable: bool = False) -> None:
        self.path = path
        self._file = os.open(path, (os.O_RDWR if writable else os.O_RDONLY) | getattr(os, "O_BINARY", 0))
        self._is_writable = writable
        try:
            self._map()
            self._check_header()
        except BaseException:
            self.close()
            raise

    @classmethod
    def create(cls, path: Path, description: Mapping[str, Any]) -> "Index":
        """Make an index without records, for a stream that is described."""
        text = to_json_text(dict(description)).encode()
        if len(text) > HEADER_NBYTES - _TEXT:
            raise DataError(f"{len(text)} bytes of description do not fit into the header of {path}")
        header = bytearray(HEADER_NBYTES)
        header[:8] = MAGIC
        struct.pack_into("<Q", header, 8, VERSION)
        struct.pack_into("<Q", header, 8 * TEXT_NBYTES, len(text))
        header[_TEXT : _TEXT + len(text)] = text
        descriptor = disk.create(path)
        try:
            disk.write_at(descriptor, header, HEADER_NBYTES, 0)
        finally:
            os.close(descriptor)
        return cls(path, writable=True)

    def _map(self) -> None:
        size = os.fstat(self._file).st_size
        if size < HEADER_NBYTES:
            raise DataError(f"{self.path} has {size} bytes: it is no index of a stream, or was cut short")
        self._memory = map_file(self._file, size, writable=self._is_writable)
        self.words = self._memory[:HEADER_NBYTES].cast("Q")
        self._room = (size - HEADER_NBYTES) // RECORD.itemsize

    def _check_header(self) -> None:
        if self._memory[:8] != MAGIC:
            raise DataError(f"{self.path} is no index of a stream")
        if self.words[1] != VERSION:
            raise DataError(f"{self.path} was written in version {self.words[1]} of its layout; this reads {VERSION}")

    def describe(self) -> dict[str, Any]:
        """What the stream is."""
        nbytes = min(self.words[TEXT_NBYTES], HEADER_NBYTES - _TEXT)
        found = from_json_text(bytes(self._memory[_TEXT : _TEXT + nbytes]))
        if not isinstance(found, dict):
            raise DataError(f"{self.path} does not say what its stream is")
        return found

    def record(self, number: int) -> Record:
        """A record that counts.

        Raises
        ------
        DataError
            It is damaged, or the file is too short for it.
        """
        found = self.peek(number)
        if found is None:
            raise DataError(f"record {number} of {self.path} is damaged: `labdaq store verify` says more")
        return found

    def peek(self, number: int) -> Record | None:
        """A record, whether it counts or not; None when it is not whole."""
        if number >= self._room:
            self._map()
        at = HEADER_NBYTES + number * RECORD.itemsize
        if number >= self._room:
            return None
        *values, crc = _unpack(self._memory, at)
        if crc32(self._memory[at : at + 36]) != crc:
            return None
        return Record(*values)

    def column(self, name: str, count: int) -> Any:
        """One field of the first records, as an array over the file."""
        if count > self._room:
            self._map()
        if count > self._room:
            raise DataError(f"{self.path} was cut short: {count} records were kept, {self._room} are there")
        return np.frombuffer(self._memory, RECORD, count, HEADER_NBYTES)[name]

    def append(self, start: int, offset: int, time_ns: int, npoint: int, nbytes: int, payload_crc: int) -> None:
        """Commit a batch, the bytes of which are written. Raises OSError; nothing is changed then."""
        number = self.words[COMMITTED]
        if number >= self._room:
            self._grow()
        crc = crc32(_pack(start, offset, time_ns, npoint, nbytes, payload_crc))
        at = HEADER_NBYTES + number * _NBYTES
        _pack_into(self._memory, at, start, offset, time_ns, npoint, nbytes, payload_crc, crc)
        self.words[COMMITTED] = number + 1

    def _grow(self) -> None:
        size = os.fstat(self._file).st_size
        step = min(max(size, _LEAST_GROWTH), _MOST_GROWTH)
        disk.grow(self._file, (size + step) // 4096 * 4096)
        self._map()

    def is_gone(self) -> bool:
        """Whether its file was deleted."""
        return os.fstat(self._file).st_nlink == 0

    def sync(self) -> None:
        """Return when all records are on the disk."""
        disk.sync(self._file)

    @property
    def is_closed(self) -> bool:
        """Whether it was let go of."""
        return self._file < 0

    def close(self) -> None:
        """Let go of the file; who looks at its words after that gets ValueError."""
        if self._file < 0:
            return
        os.close(self._file)
        self._file = -1
        if hasattr(self, "words"):
            self.words.release()
            self._memory = memoryview(b"")  # a column that is in use keeps the memory

    def __del__(self) -> None:
        if hasattr(self, "_file"):
            self.close()
