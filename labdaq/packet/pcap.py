"""Recordings of networks: pcap and pcapng, gzipped or not, in either byte order. The first bytes decide, not the name.

Sources: IETF drafts draft-ietf-opsawg-pcap and draft-ietf-opsawg-pcapng.
"""

import gzip
import io
import struct
import zlib
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple, cast

import numpy as np

from labdaq.errors import DataError
from labdaq.packet.batch import Batch
from labdaq.packet.frames import udp_payload

__all__ = ["PcapFile", "Record", "is_pcap", "read_records"]

_PCAP = {  # magic as little-endian word: byte order, ns per tick
    0xA1B2C3D4: ("<", 1000), 0xD4C3B2A1: (">", 1000), 0xA1B23C4D: ("<", 1), 0x4D3CB2A1: (">", 1),
}  # fmt: skip
_SECTION, _INTERFACE, _SIMPLE, _ENHANCED, _OLD_PACKET = 0x0A0D0D0A, 1, 3, 6, 2
_BYTE_ORDER = 0x1A2B3C4D
_GZIP = b"\x1f\x8b"
_LARGEST = 1 << 26
_BATCH_PACKETS, _BATCH_NBYTES = 4096, 4 << 20


class Record(NamedTuple):
    """One recorded frame."""

    time_ns: int
    """Since 1970."""
    linktype: int
    frame: bytes
    length: int
    """On the wire; the recorder may have kept less."""


def is_pcap(file: BinaryIO) -> bool:
    """Whether a file that can be sought begins like a recording; leaves it where it was."""
    try:
        place = file.tell()
        head = file.read(4)
        file.seek(place)
        if head[:2] == _GZIP:
            with gzip.open(cast(io.BufferedIOBase, file)) as opened:
                head = opened.read(4)
            file.seek(place)
    except (OSError, EOFError, zlib.error, io.UnsupportedOperation):
        return False
    word = int.from_bytes(head, "little") if len(head) == 4 else 0
    return word in _PCAP or word == _SECTION


def read_records(file: BinaryIO) -> Iterator[Record]:
    """The frames of a recording. A file that ends within one is read up to there.

    Raises
    ------
    DataError
        When it is no recording, or damaged.
    """
    head = file.read(2)
    file.seek(-len(head), io.SEEK_CUR)
    source = cast(BinaryIO, gzip.GzipFile(fileobj=file)) if head == _GZIP else file
    try:
        magic = int.from_bytes(source.read(4), "little")
        if magic in _PCAP:
            yield from _read_pcap(source, *_PCAP[magic])
        elif magic == _SECTION:
            yield from _read_pcapng(source)
        else:
            raise DataError(f"magic {magic:08x} is neither that of pcap nor of pcapng")
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"the compressed recording is damaged: {error}") from error


def _read_pcap(source: BinaryIO, order: str, ns: int) -> Iterator[Record]:
    head = source.read(20)
    if len(head) < 20:
        return
    linktype = struct.unpack(order + "HHiIII", head)[5] & 0x0FFFFFFF
    entry = struct.Struct(order + "IIII")
    while len(head := source.read(16)) == 16:
        seconds, fraction, kept, length = entry.unpack(head)
        if kept > _LARGEST:
            raise DataError(f"a recorded frame of {kept} bytes: the recording is damaged")
        frame = source.read(kept)
        if len(frame) < kept:
            return
        yield Record(seconds * 10**9 + fraction * ns, linktype, frame, length)


def _read_pcapng(source: BinaryIO) -> Iterator[Record]:
    order = "<"
    interfaces: list[tuple[int, int, int]] = []
    kind = _SECTION
    while True:
        body, order = _read_block(source, kind, order)
        if body is None:
            return
        if kind == _SECTION:
            interfaces = []
        elif kind == _INTERFACE:
            interfaces.append(_interface(body, order))
        else:
            record = _packet(kind, body, order, interfaces)
            if record is not None:
                yield record
        head = source.read(4)
        if len(head) < 4:
            return
        kind = struct.unpack(order + "I", head)[0]


def _read_block(source: BinaryIO, kind: int, order: str) -> tuple[bytes | None, str]:
    """The body of a block whose type was read, and the byte order from there on."""
    head = source.read(8 if kind == _SECTION else 4)
    if kind == _SECTION and len(head) == 8:
        order = "<" if int.from_bytes(head[4:], "little") == _BYTE_ORDER else ">"
    if len(head) < 4:
        return None, order
    length = struct.unpack_from(order + "I", head)[0]
    if not 12 <= length <= _LARGEST or length % 4:
        raise DataError(f"a block of {length} bytes: the recording is damaged")
    rest = source.read(length - 4 - len(head))
    if len(rest) < length - 4 - len(head):
        return None, order
    return head[4:] + rest[:-4], order


def _interface(body: bytes, order: str) -> tuple[int, int, int]:
    """Link type, and nanoseconds of a tick as a fraction."""
    if len(body) < 8:
        raise DataError("a description of an interface is cut short: the recording is damaged")
    linktype = struct.unpack_from(order + "H", body)[0]
    at, resolution = 8, 6
    while at + 4 <= len(body):
        code, length = struct.unpack_from(order + "HH", body, at)
        if code == 0:
            break
        if code == 9 and length == 1 and at + 4 < len(body):  # if_tsresol
            resolution = body[at + 4]
        at += 4 + (length + 3) // 4 * 4
    return linktype, 10**9, 1 << (resolution & 127) if resolution & 128 else 10 ** (resolution & 127)


def _packet(kind: int, body: bytes, order: str, interfaces: list[tuple[int, int, int]]) -> Record | None:
    if kind == _ENHANCED and len(body) >= 20:
        number, high, low, kept, length = struct.unpack_from(order + "IIIII", body)
        begin = 20
    elif kind == _OLD_PACKET and len(body) >= 20:
        number, _, high, low, kept, length = struct.unpack_from(order + "HHIIII", body)
        begin = 20
    elif kind == _SIMPLE and len(body) >= 4:
        number, high, low = 0, 0, 0
        length = struct.unpack_from(order + "I", body)[0]
        kept, begin = min(length, len(body) - 4), 4
    else:
        return None
    if number >= len(interfaces) or begin + kept > len(body):
        raise DataError("a packet of an interface that was not described, or cut short: the recording is damaged")
    linktype, scale, per_tick = interfaces[number]
    return Record((high << 32 | low) * scale // per_tick, linktype, body[begin : begin + kept], length)


class PcapFile:
    """The UDP datagrams of a recording.

    Parameters
    ----------
    file
        Open for reading bytes.
    port
        Only those that go to this port; all by default.
    """

    is_live = False

    def __init__(self, file: BinaryIO, port: int | None = None) -> None:
        self._file, self._port = file, port
        self._start = file.tell()
        self._records = read_records(file)
        self._handed = 0
        self.others = 0
        """Frames that were no UDP datagrams, or for another port."""

    def next_batch(self) -> Batch | None:
        """The next datagrams; None at the end."""
        payloads: list[bytes] = []
        times: list[int] = []
        nbytes = 0
        while len(payloads) < _BATCH_PACKETS and nbytes < _BATCH_NBYTES:
            record = next(self._records, None)
            if record is None:
                break
            found = udp_payload(record.frame, record.linktype)
            if found is None or self._port not in {None, found[2]}:
                self.others += 1
                continue
            payloads.append(record.frame[found[0] : found[1]])
            times.append(record.time_ns)
            nbytes += len(payloads[-1])
        if not payloads:
            return None
        lengths = np.array([len(p) for p in payloads], np.int64)
        memory = np.frombuffer(b"".join(payloads) or b"\0", np.uint8)
        offsets = np.cumsum(lengths) - lengths
        batch = Batch(memory, offsets, lengths, begin=self._handed, times_ns=np.array(times, np.int64))
        self._handed += len(payloads)
        return batch

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a datagram by its number; the new position."""
        if whence == io.SEEK_CUR:
            offset += self._handed
        elif whence == io.SEEK_END:
            raise DataError("recordings of networks are sought from their beginning")
        self._file.seek(self._start)
        self._records, self._handed, self.others = read_records(self._file), 0, 0
        while self._handed < offset and (batch := self.next_batch()) is not None:
            behind = self._handed - offset
            if behind > 0:  # the batch reaches beyond: come back to its beginning, datagram by datagram
                self._file.seek(self._start)
                self._records, self._handed = _skip(read_records(self._file), offset, self._port), offset
                break
            del batch
        return self._handed

    def tell(self, batch: Batch | None) -> int:
        """The number of the next datagram."""
        return self._handed if batch is None else batch.begin + batch.position

    def counters(self) -> dict[str, int | None]:
        """Nothing gets lost on the way."""
        return {"kernel_drops": 0}

    def close(self) -> None:
        """The file belongs to who opened it."""


def _skip(records: Iterator[Record], datagrams: int, port: int | None) -> Iterator[Record]:
    for record in records:
        found = udp_payload(record.frame, record.linktype)
        is_one = found is not None and port in {None, found[2]}
        if is_one and datagrams > 0:
            datagrams -= 1
            continue
        if datagrams <= 0:
            yield record
