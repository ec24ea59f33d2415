"""A Parquet file that can be read while it grows, and after whoever wrote it was killed.

The footer of a Parquet file stands at its end, and without it nothing can be read. So each batch is written as a
*piece*: its length in eight bytes, and a whole small Parquet file. The footer that comes at the end names the row
groups of all pieces where they are, and what stands between them disturbs no reader. Of a file without this footer,
all complete pieces can be read one by one.

What a footer holds: https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift
"""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from labdaq.errors import DataError, ResourceError
from labdaq.files.place import AppendedFile
from labdaq.files.thrift import I64, Struct, struct_from, struct_to

__all__ = ["PiecesFile", "pieces_of"]

_MAGIC = b"PAR1"

# Samples of an ADC of 14 bits still make a dictionary, which saves most of their bytes. Columns of more different
# values than that are none: looking each of them up, for the megabyte that is usual, takes twice the time of writing.
_DICTIONARY_NBYTES = 1 << 16
_LENGTH = struct.Struct("<Q")
_FOOTER = struct.Struct("<I4s")

# Numbers of fields, as the format has them: of the file, a row group, a column of it, and what is known of that.
_NROW, _GROUPS = 3, 4
_COLUMNS, _ORDINAL = 1, 7
_IN_GROUP, _IN_COLUMN, _IN_METADATA = (5,), (2, 4, 6), (9, 10, 11, 14)
_METADATA = 3


class PiecesFile:
    """Writes tables of Arrow, each of them readable from then on.

    Parameters
    ----------
    arrow
        The module ``pyarrow``.
    path
        The file, made at once.
    schema
        Of the tables.

    Raises
    ------
    OSError
        From any method: the system refuses. What was written before stays, and can be read.
    """

    def __init__(self, arrow: Any, path: Path, schema: Any) -> None:
        self._arrow, self._schema = arrow, schema
        self._file = AppendedFile(path, overwrite=True)
        self._end = 0
        self._footer: Struct = {}
        self._append(_MAGIC)

    def _append(self, text: bytes | memoryview) -> None:
        self._file.append(text)
        self._end += len(text)

    def write_table(self, table: Any, row_group: int) -> None:
        """Append a table, in row groups of so many rows at most."""
        sink = self._arrow.BufferOutputStream()
        with self._arrow.parquet.ParquetWriter(
            sink, self._schema, dictionary_pagesize_limit=_DICTIONARY_NBYTES
        ) as writer:
            writer.write_table(table, row_group)
        piece = sink.getvalue()
        footer = _footer_of(memoryview(piece))
        _move(footer, self._end + _LENGTH.size)
        self._append(_LENGTH.pack(piece.size))
        self._append(memoryview(piece))
        self._add(footer)

    def _add(self, footer: Struct) -> None:
        if not self._footer:
            self._footer = footer
            return
        rows, groups = self._footer[_NROW][1] + footer[_NROW][1], self._footer[_GROUPS][1][1]
        groups.extend(footer[_GROUPS][1][1])
        self._footer[_NROW] = (I64, rows)

    @property
    def nrow(self) -> int:
        """Rows that were written."""
        return int(self._footer[_NROW][1]) if self._footer else 0

    def close(self) -> None:
        """Write the footer."""
        if not self._footer:
            self.write_table(self._schema.empty_table(), 1)
        text = struct_to(self._footer)
        self._append(text + _FOOTER.pack(len(text), _MAGIC))
        self._file.close()

    def give_up(self) -> None:
        """Write no more: what is there can be read piece by piece."""
        self._file.close()


def _footer_of(piece: memoryview) -> Struct:
    """What the end of a Parquet file says of it."""
    nbytes, magic = _FOOTER.unpack(piece[-_FOOTER.size :])
    if magic != _MAGIC or nbytes > len(piece) - _FOOTER.size:
        raise DataError("a piece of a Parquet file has no end")
    return struct_from(bytes(piece[-_FOOTER.size - nbytes : -_FOOTER.size]))


def _move(footer: Struct, by: int) -> None:
    """Its row groups stand so many bytes further in the whole file."""
    for group in footer[_GROUPS][1][1]:
        group.pop(_ORDINAL, None)  # a number of the piece, which nobody needs
        _shift(group, _IN_GROUP, by)
        for column in group[_COLUMNS][1][1]:
            _shift(column, _IN_COLUMN, by)
            _shift(column[_METADATA][1], _IN_METADATA, by)


def _shift(fields: Struct, numbers: tuple[int, ...], by: int) -> None:
    for number in numbers:
        if number in fields and fields[number][1]:  # 0: it does not say
            kind, value = fields[number]
            fields[number] = (kind, value + by)


def pieces_of(path: Path) -> Iterator[bytes]:
    """The complete pieces of a file that was not completed: each is a whole Parquet file.

    Raises
    ------
    ResourceError
        The file cannot be read.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            at = len(file.read(len(_MAGIC)))
            while len(head := file.read(_LENGTH.size)) == _LENGTH.size:
                nbytes = _LENGTH.unpack(head)[0]
                at += _LENGTH.size
                if nbytes < 2 * _FOOTER.size or at + nbytes > size:
                    return
                piece = file.read(nbytes)
                if piece[:4] != _MAGIC or piece[-4:] != _MAGIC:
                    return
                at += nbytes
                yield piece
    except OSError as error:
        raise ResourceError.of(error, "reading what was written of the file", path) from error
