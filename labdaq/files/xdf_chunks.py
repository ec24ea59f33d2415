"""The chunks of an XDF file: a length, a tag, a content.

A file is a row of them: header of the file, header of a stream, samples with their times, offsets between clocks,
footer of a stream. Headers and footers are XML. Source: the specification at github.com/sccn/xdf/wiki/Specifications.
"""

import struct
from collections.abc import Iterator
from enum import IntEnum
from typing import Any

import numpy as np

from labdaq.errors import DataError

__all__ = ["FORMATS", "MAGIC", "Tag", "chunk", "chunks", "length", "sample_record"]

MAGIC = b"XDF:"
FORMATS = {"float32": "<f4", "double64": "<f8", "int8": "i1", "int16": "<i2", "int32": "<i4", "int64": "<i8"}
"""Names of the values that XDF has, and NumPy's; besides there are texts, ``string``."""


class Tag(IntEnum):
    """What a chunk is."""

    FILE_HEADER = 1
    STREAM_HEADER = 2
    SAMPLES = 3
    CLOCK_OFFSET = 4
    BOUNDARY = 5
    STREAM_FOOTER = 6


def chunk(tag: Tag, content: bytes) -> bytes:
    """A chunk as it is in the file."""
    size = len(content) + 2
    length = b"\x04" + struct.pack("<I", size) if size < 1 << 32 else b"\x08" + struct.pack("<Q", size)
    return length + struct.pack("<H", tag) + content


def chunks(content: bytes) -> Iterator[tuple[int, memoryview]]:
    """Tags and contents, up to where the file was cut off."""
    place, view = 4, memoryview(content)
    while place < len(content):
        try:
            size, begin = length(view, place)
        except (struct.error, IndexError):
            return
        if begin + size > len(content):
            return
        yield struct.unpack_from("<H", content, begin)[0], view[begin + 2 : begin + size]
        place = begin + size


def length(view: memoryview, place: int) -> tuple[int, int]:
    """A length of 1, 4 or 8 bytes, and where it ends.

    Raises
    ------
    DataError
        It has another number of bytes.
    """
    forms = {1: "<B", 4: "<I", 8: "<Q"}
    if view[place] not in forms:
        raise DataError(f"a length of {view[place]} bytes at byte {place}: there are 1, 4 and 8")
    return struct.unpack_from(forms[view[place]], view, place + 1)[0], place + 1 + view[place]


def sample_record(dtype: np.dtype[Any], channels: int) -> np.dtype[Any]:
    """A sample whose time is told."""
    return np.dtype([("flag", "u1"), ("time", "<f8"), ("values", dtype, (channels,))])
