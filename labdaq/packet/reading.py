"""Frames from a file of packets, without a ring."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from labdaq.errors import ResourceError
from labdaq.packet.capture import PacketCapture
from labdaq.packet.disk_reader import open_file
from labdaq.packet.format import PacketFormat
from labdaq.packet.formats import find_format
from labdaq.packet.ledger import Ledger
from labdaq.packet.sinks import Block, BlockSink
from labdaq.packet.status import CaptureStatus

__all__ = ["PacketReading", "opened", "read"]


class PacketReading:
    """Blocks of frames of a file, one after the other; iterates, and is a context manager.

    Attributes
    ----------
    capture
        Whose :meth:`~PacketCapture.ledger` says what became of every packet.
    """

    def __init__(self, path: str | Path | BinaryIO, packet_format: str | PacketFormat, options: dict[str, Any]) -> None:
        found = find_format(packet_format)
        self._file = opened(path)
        self._is_mine = isinstance(path, str | Path)
        self._sink = BlockSink()
        port = options.pop("port", None)
        try:
            transport = open_file(found, self._file, options["nsrc"], options["src0"], port)
            self.capture = PacketCapture(found, transport, self._sink, **options)
        except BaseException:
            self.close()
            raise

    def __iter__(self) -> Iterator[Block]:
        blocks = self._sink.blocks
        try:
            while True:
                status = self.capture.recv()
                while blocks:
                    yield blocks.popleft()
                if status in {CaptureStatus.ENDED, CaptureStatus.NO_DATA}:
                    return
        finally:
            self.close()

    @property
    def ledger(self) -> Ledger:
        """What became of every packet, so far."""
        return self.capture.ledger()

    def close(self) -> None:
        """Close the file."""
        if self._is_mine:
            self._file.close()

    def __enter__(self) -> "PacketReading":
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def __del__(self) -> None:
        with contextlib.suppress(AttributeError):
            self.close()


def read(
    path: str | Path | BinaryIO,
    packet_format: str | PacketFormat,
    *,
    nsrc: int,
    src0: int = 0,
    ntime_gulp: int = 256,
    **options: Any,
) -> PacketReading:
    """Read a file of packets, or the datagrams of a recording of a network (pcap, pcapng).

    Parameters
    ----------
    path
        The file, or one that is open for reading bytes.
    packet_format
        A name such as ``tbn`` or ``chips_132``, or a :class:`PacketFormat`.
    nsrc, src0
        How many sources make up a frame, and the number of the first.
    ntime_gulp
        Frames of a block, at most.
    **options
        As for :class:`PacketCapture`: ``rate``, ``open_gulps``, ``align`` …; ``port``: only datagrams to it.

    Returns
    -------
    PacketReading
        Iterate over it: each :class:`Block` has ``header``, ``time_tag``, ``data`` (frames first) and ``present``.

    Raises
    ------
    NotFoundError
        When there is no such format.
    ResourceError
        When the file cannot be opened.

    Examples
    --------
    >>> import io
    >>> packets = b"".join(bytes([0, 0, 0, 0, 0, 0, 0, n]) + bytes([n]) * 8192 for n in (1, 2, 4))
    >>> for block in read(io.BytesIO(packets), "simple", nsrc=1):
    ...     print(block.seq, block.data.shape, block.data["re"][:, 0].tolist(), block.present[:, 0].tolist())
    1 (4, 2048) [257, 514, 0, 1028] [True, True, False, True]
    """
    return PacketReading(path, packet_format, {"nsrc": nsrc, "src0": src0, "ntime_gulp": ntime_gulp, **options})


def opened(path: str | Path | BinaryIO) -> BinaryIO:
    """The file of a path; one that is open already as it is.

    Raises
    ------
    ResourceError
        When it cannot be opened.
    """
    if not isinstance(path, str | Path):
        return path
    try:
        return Path(path).open("rb")
    except OSError as error:
        raise ResourceError.of(error, "opening packets", path) from error
