"""What goes over the wire: one small head for each message, in fixed binary fields; no pickle, nothing executed.

A message is one frame; the data of a chunk is the rest of that frame when it is short, else a second frame. Each
message begins with eight bytes (magic, version, kind); then come the fields of its kind, or a JSON object of limited
size for the messages of the handshake.
"""

import json
import struct
from collections.abc import Callable
from enum import IntEnum
from functools import partial
from typing import Any, NamedTuple

from labdaq.errors import DataError

__all__ = [
    "CHUNK_HEAD_NBYTES",
    "CHUNK_PREFIX_NBYTES",
    "CONTROL_NBYTES",
    "HEAD",
    "VERSION",
    "ChunkHead",
    "Kind",
    "chunk_packer",
    "chunk_place",
    "chunk_prefix",
    "is_data",
    "kind_of",
    "pack",
    "pack_json",
    "pack_words",
    "unpack_json",
    "unpack_words",
]

VERSION = 1
MAGIC = b"LDQS"
CONTROL_NBYTES = 1 << 20
"""No message is longer, except the data of chunks."""

HEAD = struct.Struct("<4sBBBx")
_CHUNK = struct.Struct("<4sBBBxQQQqqQI4x")
CHUNK_HEAD_NBYTES = _CHUNK.size
_PREFIX = struct.Struct("<4sBBBxQQ")
CHUNK_PREFIX_NBYTES = _PREFIX.size
"""What the heads of all chunks of one session begin with."""
_PLACE = struct.Struct("<QqqQI4x")
_NEW = tuple.__new__


class Kind(IntEnum):
    """What a message is. HELLO and REFUSED stay as they are in every version."""

    HELLO = 1
    """Reader: a JSON object; take me in."""
    WELCOME = 2
    """Sender: a JSON object; the session, the parameters, and from where on you will hear everything."""
    REFUSED = 3
    """Sender: a JSON object with the reason."""
    DATA = 4
    ACK = 5
    """Reader: everything before this sequence number is done with; so many chunks were received."""
    PING = 6
    PONG = 7
    """Sender: number of the ping, its clock, its next sequence number and index."""
    WHO = 8
    """Sender: you came (back) without a HELLO."""
    END = 9
    """Sender: no more; its next sequence number and index."""
    BYE = 10
    """Reader: no more; as ACK."""
    NOTHING = 11
    """Sender: to see whether the reader is there."""


_DATA = HEAD.pack(MAGIC, VERSION, Kind.DATA, 0)[:6]


class ChunkHead(NamedTuple):
    """The head of a chunk.

    Attributes
    ----------
    codec
        How the data is packed; 0: as it is in memory.
    session
        Random number of this life of the sender.
    schema
        Of dtype and shape.
    sequence
        Of the chunk, from 0: a gap shows lost chunks.
    end
        Absolute number of the sample after the last one of this chunk: a gap shows lost samples.
    timestamp_ns
        UTC of that sample by the clock of the sender.
    nbytes
        Of the data as it lies in memory.
    rows
        Number of samples.
    """

    codec: int
    session: int
    schema: int
    sequence: int
    end: int
    timestamp_ns: int
    nbytes: int
    rows: int

    def pack(self) -> bytes:
        """As it travels.

        Examples
        --------
        >>> head = ChunkHead(0, 7, 8, 0, 3, 10**18, 24, 3)
        >>> ChunkHead.unpack(head.pack()) == head
        True
        """
        return _CHUNK.pack(MAGIC, VERSION, Kind.DATA, *self)

    @classmethod
    def unpack(cls, frame: Any) -> "ChunkHead":
        """What a frame begins with. Raises DataError when it is too short."""
        if len(frame) < CHUNK_HEAD_NBYTES:
            raise DataError(f"the head of a chunk has {CHUNK_HEAD_NBYTES} bytes; there are {len(frame)}")
        return _NEW(cls, _CHUNK.unpack_from(frame)[3:])


def chunk_packer(codec: int, session: int, schema: int) -> Callable[[int, int, int, int, int], bytes]:
    """What packs the heads of the chunks of one session: ``(sequence, end, timestamp_ns, nbytes, rows)``.

    Examples
    --------
    >>> chunk_packer(0, 7, 8)(0, 3, 10**18, 24, 3) == ChunkHead(0, 7, 8, 0, 3, 10**18, 24, 3).pack()
    True
    """
    return partial(_CHUNK.pack, MAGIC, VERSION, int(Kind.DATA), codec, session, schema)


def chunk_prefix(codec: int, session: int, schema: int) -> bytes:
    """What the heads of all chunks of one session begin with: who knows it has one comparison to make for each.

    Examples
    --------
    >>> ChunkHead(0, 7, 8, 0, 3, 10**18, 24, 3).pack().startswith(chunk_prefix(0, 7, 8))
    True
    """
    return _PREFIX.pack(MAGIC, VERSION, Kind.DATA, codec, session, schema)


def chunk_place(frame: bytes) -> tuple[int, int, int, int, int]:
    """Sequence, end, time stamp, bytes and rows of a chunk.

    Raises
    ------
    DataError
        The head is too short.
    """
    if len(frame) < CHUNK_HEAD_NBYTES:
        raise DataError(f"the head of a chunk has {CHUNK_HEAD_NBYTES} bytes; there are {len(frame)}")
    return _PLACE.unpack_from(frame, CHUNK_PREFIX_NBYTES)


def pack(kind: Kind) -> bytes:
    """A message without fields."""
    return HEAD.pack(MAGIC, VERSION, kind, 0)


def pack_words(kind: Kind, *words: int) -> bytes:
    """A message of 64-bit numbers."""
    return pack(kind) + struct.pack(f"<{len(words)}q", *words)


def unpack_words(frame: bytes, count: int) -> tuple[int, ...]:
    """The numbers of a message.

    Raises
    ------
    DataError
        When there are not exactly so many.
    """
    if len(frame) != HEAD.size + 8 * count:
        raise DataError(f"a message of {count} numbers has {HEAD.size + 8 * count} bytes; there are {len(frame)}")
    return struct.unpack_from(f"<{count}q", frame, HEAD.size)


def pack_json(kind: Kind, content: dict[str, Any]) -> bytes:
    """A message of the handshake."""
    return pack(kind) + json.dumps(content, allow_nan=False).encode()


def unpack_json(frame: bytes) -> dict[str, Any]:
    """The object in a message of the handshake.

    Raises
    ------
    DataError
        When it holds none.
    """
    try:
        content = json.loads(frame[HEAD.size :])
    except (ValueError, RecursionError) as error:
        raise DataError(f"no JSON in a message of the handshake: {error}") from error
    if not isinstance(content, dict):
        raise DataError("a message of the handshake holds an object")
    return content


def is_data(frame: bytes) -> bool:
    """Whether this is the head of a chunk: the quick way to ask for the most frequent kind."""
    return frame[:6] == _DATA


def kind_of(frame: Any) -> Kind:
    """What kind of message begins with this frame.

    Raises
    ------
    DataError
        When it is no message of ours, or of another version.

    Examples
    --------
    >>> kind_of(pack(Kind.WHO)).name
    'WHO'
    """
    if len(frame) < HEAD.size:
        raise DataError(f"{len(frame)} bytes are no message")
    magic, version, kind, _codec = HEAD.unpack_from(frame)
    if magic != MAGIC:
        raise DataError("no message of labdaq")
    if version != VERSION and kind not in {Kind.HELLO, Kind.REFUSED}:
        raise DataError(f"a message of version {version}; this is version {VERSION}")
    try:
        return Kind(kind)
    except ValueError:
        raise DataError(f"a message of unknown kind {kind}") from None
