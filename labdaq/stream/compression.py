"""How the data of a chunk is packed on its way. Lossless; what comes out has exactly the announced size."""

import zlib
from collections.abc import Callable
from importlib import import_module
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from labdaq.errors import DataError, LayoutError, MissingExtraError

__all__ = ["CODECS", "Codec", "codec_named"]

Pack = Callable[[NDArray[Any]], Any]
Unpack = Callable[[Any, NDArray[np.uint8]], object]


class Codec(NamedTuple):
    """One way to pack: its number in the heads of chunks, and what packs and unpacks."""

    number: int
    pack: Pack
    unpack: Unpack

    def restore(self, packed: Any, nbytes: int) -> NDArray[np.uint8]:
        """The bytes that were packed.

        Raises
        ------
        DataError
            When they are not exactly so many, or damaged.
        """
        room = np.empty(nbytes, np.uint8)
        try:
            self.unpack(packed, room)
        except (ValueError, RuntimeError, TypeError, zlib.error, MemoryError) as error:
            raise DataError(f"a chunk cannot be unpacked: {error}") from error
        return room


def _unzip(packed: Any, room: NDArray[np.uint8]) -> None:
    machine = zlib.decompressobj()
    whole = machine.decompress(packed, len(room) + 1)  # no more, whatever a stranger claims
    if len(whole) != len(room) or not machine.eof:
        raise ValueError(f"{len(room)} bytes were announced, and there are others")
    room[:] = np.frombuffer(whole, np.uint8)


def _unpack_bits(packed: Any, room: NDArray[np.uint8]) -> None:
    bits = np.frombuffer(packed, np.uint8)
    if len(bits) != -(-len(room) // 8):
        raise ValueError(f"{len(bits)} bytes for {len(room)} bits")
    room[:] = np.unpackbits(bits, count=len(room))


def _zlib(number: int) -> Codec:
    return Codec(number, lambda data: zlib.compress(data.tobytes(), 1), _unzip)


def _bits(number: int) -> Codec:
    return Codec(number, lambda data: np.packbits(data.reshape(-1)).tobytes(), _unpack_bits)


def _of_numcodecs(number: int, name: str, **settings: Any) -> Codec:
    try:
        numcodecs: Any = import_module("numcodecs")
    except ImportError as error:
        raise MissingExtraError("this compression needs numcodecs: pip install 'labdaq[store]'") from error
    machine = getattr(numcodecs, name)(**settings)

    def unpack(packed: Any, room: NDArray[np.uint8]) -> None:
        restored = machine.decode(packed, out=room)
        if len(memoryview(restored).cast("B")) != len(room):
            raise ValueError(f"{len(room)} bytes were announced, and there are others")

    return Codec(number, lambda data: machine.encode(data.reshape(-1).view(np.uint8)), unpack)


CODECS: dict[str, Callable[[], Codec | None]] = {
    "": lambda: None,
    "zlib": lambda: _zlib(1),
    "lz4": lambda: _of_numcodecs(2, "LZ4"),
    "zstd": lambda: _of_numcodecs(3, "Zstd"),
    "blosc-lz4": lambda: _of_numcodecs(4, "Blosc", cname="lz4"),
    "blosc-zstd": lambda: _of_numcodecs(5, "Blosc", cname="zstd"),
    "bits": lambda: _bits(6),
}


def codec_named(name: str) -> Codec | None:
    """The codec with a name; None for ``""``, which packs nothing.

    ``bits`` packs eight booleans into a byte, for digital signals.

    Raises
    ------
    LayoutError
        When there is none of this name.
    MissingExtraError
        When its library is not installed.

    Examples
    --------
    >>> codec = codec_named("zlib")
    >>> codec.restore(codec.pack(np.arange(3, dtype="u1")), 3).tolist()
    [0, 1, 2]
    """
    if name not in CODECS:
        raise LayoutError(f"compression={name!r}: there are {', '.join(map(repr, CODECS))}")
    return CODECS[name]()
