"""Recorded packets into a ring."""

import os
from typing import Any, BinaryIO

from labdaq.packet.capture import PacketCapture, product
from labdaq.packet.describing import SequenceCallback
from labdaq.packet.format import PacketFormat
from labdaq.packet.formats import find_format
from labdaq.packet.packet_file import PacketFile
from labdaq.packet.pcap import PcapFile, is_pcap
from labdaq.packet.sinks import RingSink

__all__ = ["DiskReader", "open_file"]


class DiskReader(PacketCapture):
    """Recorded packets into a ring: files of packets, pcap and pcapng. The first bytes say which.

    Parameters
    ----------
    packet_format
        A name with the number of channels where headers do not say it: ``cor_72``.
    file
        Open for reading bytes. It stays open.
    ring
        A ring of bytes; it is given the room it needs.
    nsrc, src0, ntime_gulp, ntime_slot, sequence_callback, core, **options
        As for :class:`PacketCapture`.
    port
        Of a recording of a network: only datagrams to this port.

    Notes
    -----
    Readers of the ring hold the file back: nothing is lost, and without a reader all goes by.
    """

    def __init__(
        self,
        packet_format: str | PacketFormat,
        file: BinaryIO,
        ring: Any,
        nsrc: int | tuple[int, ...],
        src0: int = 0,
        ntime_gulp: int = 256,
        ntime_slot: int | None = None,
        sequence_callback: SequenceCallback | None = None,
        core: int | None = None,
        *,
        port: int | None = None,
        **options: Any,
    ) -> None:
        found = find_format(packet_format)
        transport = open_file(found, file, product(nsrc), src0, port)
        sink = RingSink(ring, is_live=False)
        try:
            super().__init__(
                found, transport, sink, nsrc=nsrc, src0=src0, ntime_gulp=ntime_gulp, ntime_slot=ntime_slot,
                sequence_callback=sequence_callback, core=core, **options,
            )  # fmt: skip
        except BaseException:
            sink.close()
            raise
        self._seekable = transport

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go on elsewhere in the file; the open sequence ends. The new position.

        In bytes of a packet file; in datagrams of a recording of a network.
        """
        if whence == os.SEEK_CUR:
            offset, whence = offset + self.tell(), os.SEEK_SET
        self._assembly.finish()
        self._batch = None
        return self._seekable.seek(offset, whence)

    def tell(self) -> int:
        """Where in the file the next packet begins that was not looked at."""
        return self._seekable.tell(self._batch)


def open_file(
    packet_format: PacketFormat, file: BinaryIO, nsrc: int, src0: int, port: int | None
) -> PacketFile | PcapFile:
    """The transport of a file, by its first bytes."""
    if port is not None or is_pcap(file):
        return PcapFile(file, port)
    return PacketFile(packet_format, file, nsrc=nsrc, src0=src0)
