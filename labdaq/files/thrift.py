"""The little of Apache Thrift's compact protocol that the footer of a Parquet file needs: read, and written again.

A struct becomes a dictionary from the number of a field to its kind and value; what is not understood is kept as it
is. See https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md
"""

from typing import Any

from labdaq.errors import DataError

__all__ = ["Struct", "struct_from", "struct_to"]

Struct = dict[int, tuple[int, Any]]
"""Fields of a struct: the number of each, and its kind and value."""

TRUE, FALSE, BYTE, I16, I32, I64, DOUBLE, BINARY, LIST, SET, MAP, STRUCT = range(1, 13)
_DEEPEST = 64


def struct_from(text: bytes) -> Struct:
    """Read a struct.

    Raises
    ------
    DataError
        These bytes are none.

    Examples
    --------
    >>> struct_from(bytes([0x15, 0x02, 0x18, 0x02, 0x68, 0x69, 0x00]))
    {1: (5, 1), 2: (8, b'hi')}
    """
    try:
        return _Reader(text).struct(0)
    except (IndexError, ValueError) as error:
        raise DataError(f"these {len(text)} bytes are no struct of Thrift: {error}") from error


def struct_to(struct: Struct) -> bytes:
    """Write a struct.

    Examples
    --------
    >>> struct_to({1: (5, 1), 2: (8, b"hi")}).hex()
    '15021802686900'
    """
    out = bytearray()
    _write_struct(out, struct)
    return bytes(out)


class _Reader:
    """Reads one value after the other."""

    def __init__(self, text: bytes) -> None:
        self._text, self._at = text, 0

    def _byte(self) -> int:
        self._at += 1
        return self._text[self._at - 1]

    def _varint(self) -> int:
        value = shift = 0
        while True:
            byte = self._byte()
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7

    def _zigzag(self) -> int:
        value = self._varint()
        return value >> 1 ^ -(value & 1)

    def _bytes(self, n: int) -> bytes:
        if self._at + n > len(self._text):
            raise IndexError(f"{n} bytes are missing at {self._at}")
        self._at += n
        return self._text[self._at - n : self._at]

    def struct(self, depth: int) -> Struct:
        if depth > _DEEPEST:
            raise ValueError("it is nested too deeply")
        fields: Struct = {}
        number = 0
        while head := self._byte():
            kind = head & 15
            number = number + (head >> 4) if head >> 4 else self._zigzag()
            fields[number] = (kind, self._value(kind, depth))
        return fields

    def _value(self, kind: int, depth: int) -> Any:
        if kind in {TRUE, FALSE}:  # of a field, the kind is the value
            return kind == TRUE
        return self._element(kind, depth)

    def _element(self, kind: int, depth: int) -> Any:
        if kind in {I16, I32, I64}:
            return self._zigzag()
        if kind in {TRUE, FALSE, BYTE}:
            return self._byte()
        if kind == DOUBLE:
            return self._bytes(8)
        if kind == BINARY:
            return self._bytes(self._varint())
        if kind in {LIST, SET}:
            head = self._byte()
            size = self._varint() if head >> 4 == 15 else head >> 4
            return head & 15, [self._element(head & 15, depth + 1) for _ in range(size)]
        if kind == STRUCT:
            return self.struct(depth + 1)
        raise ValueError(f"kind {kind} is not known here")


def _varint(out: bytearray, value: int) -> None:
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)


def _zigzag(out: bytearray, value: int) -> None:
    _varint(out, value << 1 if value >= 0 else (-value << 1) - 1)


def _write_struct(out: bytearray, struct: Struct) -> None:
    before = 0
    for number, (given, value) in sorted(struct.items()):
        kind = (TRUE if value else FALSE) if given in {TRUE, FALSE} else given
        if 0 < number - before < 16:
            out.append(number - before << 4 | kind)
        else:
            out.append(kind)
            _zigzag(out, number)
        before = number
        if kind not in {TRUE, FALSE}:
            _write(out, kind, value)
    out.append(0)


def _write(out: bytearray, kind: int, value: Any) -> None:
    if kind in {I16, I32, I64}:
        _zigzag(out, value)
    elif kind in {TRUE, FALSE, BYTE}:
        out.append(value)
    elif kind == DOUBLE:
        out += value
    elif kind == BINARY:
        _varint(out, len(value))
        out += value
    elif kind == STRUCT:
        _write_struct(out, value)
    else:
        inner, elements = value
        if len(elements) < 15:
            out.append(len(elements) << 4 | inner)
        else:
            out.append(0xF0 | inner)
            _varint(out, len(elements))
        for element in elements:
            _write(out, inner, element)
