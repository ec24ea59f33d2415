"""Packets from the network into a ring."""

import errno
import math
import os
import socket
import struct
import time
from collections.abc import Sequence
from typing import Any

from labdaq.errors import LayoutError, ResourceError
from labdaq.packet import receiving as r
from labdaq.packet.capture import PacketCapture, product
from labdaq.packet.describing import SequenceCallback
from labdaq.packet.format import PacketFormat
from labdaq.packet.inbox import Inbox
from labdaq.packet.sinks import RingSink
from labdaq.packet.status import CaptureStatus
from labdaq.packet.udp_packets import UDPPackets
from labdaq.packet.udp_socket import UDPSocket

__all__ = ["UDPCapture", "UDPSniffer"]

_SLICE_S = 0.05
_NOT_FAILED = {0, errno.EINTR, errno.EAGAIN, errno.EWOULDBLOCK}


class UDPCapture(PacketCapture):
    """Packets from a socket into a ring; a context manager.

    Call :meth:`recv` again and again, or :meth:`start` and :meth:`stop`: then it runs in its own thread.

    Parameters
    ----------
    packet_format
        A name; with a number, such as ``chips_132``, packets of any other size are refused.
    udp_socket
        Bound; or several, which are drained in turns into the same frames. Its ``timeout`` is the time without
        packets after which :meth:`recv` ends the sequence. It stays open.
    ring
        A ring of bytes; it is given the room that packets need which really come.
    nsrc, src0, ntime_gulp, ntime_slot, sequence_callback, core, **options
        As for :class:`PacketCapture`.
    max_size
        Bytes of the largest packet.
    flush_s
        Seconds after which frames are handed out although their gulp is not full.
    portable
        Fetch packet by packet, as systems other than Linux do.
    ring_gulps
        For how many gulps the ring is given room: how long its readers may be busy.

    Notes
    -----
    The loop is compiled and does not need the GIL: what a notebook does meanwhile does not disturb it. When readers
    hold all of the ring, the socket is still drained; whole gulps are discarded and counted as ``ring_full``.
    """

    def __init__(
        self,
        packet_format: str | PacketFormat,
        udp_socket: UDPSocket | Sequence[UDPSocket],
        ring: Any,
        nsrc: int | tuple[int, ...],
        src0: int = 0,
        max_size: int = 9000,
        ntime_gulp: int = 256,
        ntime_slot: int | None = None,
        sequence_callback: SequenceCallback | None = None,
        core: int | None = None,
        *,
        flush_s: float = 1.0,
        portable: bool = False,
        ring_gulps: int = 4,
        **options: Any,
    ) -> None:
        from labdaq.packet.warming import warm_once  # which captures, too

        product(nsrc)
        warm_once()
        packets = UDPPackets([udp_socket] if isinstance(udp_socket, UDPSocket) else udp_socket, max_size)
        sink = RingSink(ring, is_live=True, gulps=ring_gulps)
        try:
            super().__init__(
                packet_format, packets, sink, nsrc=nsrc, src0=src0, ntime_gulp=ntime_gulp, ntime_slot=ntime_slot,
                sequence_callback=sequence_callback, core=core, max_size=max_size, **options,
            )  # fmt: skip
        except BaseException:
            sink.close()
            raise
        self._packets, self._flush_s = packets, flush_s
        self._inbox = None
        if r.CAN_BATCH and not portable:
            self._inbox = Inbox(packets.descriptors, max_size, packets.kind)
            self._batch = self._inbox.batch
        self._waits_s = -1.0
        self._quiet_since = self._handed_out_at = time.monotonic()

    def _step(self) -> CaptureStatus:
        """Packets until a gulp is handed out; then, or when nothing comes, look at the time."""
        self._quiet_since = time.monotonic()
        while not self._stopping.is_set():
            got, status = self._fetch() if self._inbox is None else self._fetch_many(self._inbox)
            now = time.monotonic()
            if status is not None:
                self._handed_out_at = now
                return status
            if got:
                self._quiet_since = now
            late = self._look_at_time(now, got=got)
            if late is not None:
                return late
        return CaptureStatus.INTERRUPTED

    def _look_at_time(self, now: float, *, got: bool) -> CaptureStatus | None:
        timeout = self._packets.timeout
        if timeout is not None and now - self._quiet_since >= timeout:
            return CaptureStatus.ENDED if self._assembly.finish() else CaptureStatus.NO_DATA
        is_beginning = got and not self._assembly.is_active  # and not to be cut short, however long it took
        if now - self._handed_out_at >= self._flush_s and not is_beginning:
            self._handed_out_at = now
            if self._assembly.has_open_frames and self._assembly.flush():
                return CaptureStatus.CONTINUED
        return None

    def _fetch(self) -> tuple[bool, CaptureStatus | None]:
        """Portable: whether anything came, and what became of it."""
        if self._batch is None or (self._batch.is_used_up and not self._assembly.has_held):
            self._batch = self._packets.next_batch()
        if self._batch is None:
            return False, None
        return True, self._assembly.place(self._batch)

    def _fetch_many(self, inbox: Inbox) -> tuple[bool, CaptureStatus | None]:
        """The same with many packets at a time, in compiled code."""
        if self._assembly.has_held:
            return True, self._assembly.place_held()
        control = inbox.control
        before, had = int(control[r.FETCHED]), inbox.batch.position < control[r.COUNT]
        wait = self._packets.timeout
        self._set_timeout(_SLICE_S if wait is None else min(_SLICE_S, max(wait, 0.001)))
        control[r.DEADLINE] = time.monotonic_ns() + int(min(self._flush_s, 1.0) * 1e9)
        status = self._assembly.receive(inbox)
        failure = int(control[r.ERROR])
        if failure not in _NOT_FAILED:
            raise ResourceError.of(OSError(failure, os.strerror(failure)), "receiving packets")
        return bool(had or control[r.FETCHED] > before), status

    def _set_timeout(self, seconds: float) -> None:
        """How long the system waits for a packet; Python's own timeouts are for Python's own calls."""
        if seconds == self._waits_s or self._inbox is None:
            return
        whole = math.floor(seconds)
        packed = struct.pack("ll", whole, int((seconds - whole) * 1e6))
        for one in self._packets.sockets:
            one.socket.setblocking(True)
            one.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, packed)
        self._inbox.control[r.WAIT_NS] = int(seconds * 1e9)
        self._waits_s = seconds

    def stop(self) -> None:
        """End capturing: all frames that came are handed out, and the sequence ends."""
        if self._inbox is None:
            super().stop()
            return
        self._inbox.control[r.STOP] = 1
        try:
            super().stop()
        finally:
            self._inbox.control[r.STOP] = 0


class UDPSniffer(UDPCapture):
    """The same for packets that pass by: a socket on which :meth:`UDPSocket.sniff` was called.

    Raises
    ------
    LayoutError
        For a socket that is bound: it would see its own packets only.
    """

    def __init__(self, packet_format: str | PacketFormat, udp_socket: UDPSocket, *args: Any, **options: Any) -> None:
        if not udp_socket.is_sniffing:
            raise LayoutError("a sniffer needs a socket that sniffs: call its sniff() instead of bind()")
        super().__init__(packet_format, udp_socket, *args, **options)
