"""Packets from the network into a ring."""

import contextlib
import errno
import math
import select
import socket
import struct
import time
from typing import Any

import numpy as np

from labdaq.errors import ResourceError
from labdaq.packet import messages as m
from labdaq.packet.batch import Batch, address_of
from labdaq.packet.capture import PacketCapture, product
from labdaq.packet.describing import SequenceCallback
from labdaq.packet.format import PacketFormat
from labdaq.packet.sinks import RingSink
from labdaq.packet.status import CaptureStatus
from labdaq.packet.udp_socket import UDPSocket

__all__ = ["UDPCapture", "UDPPackets"]

_SLICE_S = 0.05
_PACKETS = 64  # fetched at a time: what stays in the cache of a core until it is placed
_LINE = 64
_INTERRUPTED = {errno.EINTR}
_NOTHING = {errno.EAGAIN, errno.EWOULDBLOCK}


class UDPPackets:
    """The datagrams of a socket, as a transport.

    Parameters
    ----------
    udp_socket
        Bound.
    max_size
        The largest datagram; longer ones are refused as of the wrong size.
    """

    is_live = True

    def __init__(self, udp_socket: UDPSocket, max_size: int) -> None:
        self.socket = udp_socket
        udp_socket.fileno()  # which refuses one that is not open
        size = (max_size // _LINE + 1) * _LINE  # at least one more, which shows what was too long
        self.rows = np.zeros((_PACKETS, size), np.uint8)
        self.offsets = np.arange(_PACKETS, dtype=np.int64) * size
        self.lengths = np.zeros(_PACKETS, np.int64)
        self._drops_before = udp_socket.drops
        self._drops: int | None = None

    def next_batch(self) -> Batch | None:
        """What has come, packet by packet: for systems that cannot fetch many at once. None: nothing for 50 ms."""
        source = self.socket.socket
        if not select.select([source], [], [], _SLICE_S)[0]:
            return None
        count = 0
        source.setblocking(False)
        with contextlib.suppress(BlockingIOError, ConnectionError):
            while count < _PACKETS:
                try:
                    self.lengths[count] = source.recv_into(self.rows[count])
                except OSError as error:
                    if error.errno != 10040:  # Windows says so when a datagram is longer than its memory
                        raise
                    self.lengths[count] = self.rows.shape[1]
                count += 1
        return Batch(self.rows.reshape(-1), self.offsets[:count], self.lengths[:count]) if count else None

    def counters(self) -> dict[str, int | None]:
        """What the system dropped since the capture began."""
        now = self.socket.drops
        if now is not None and self._drops_before is not None:
            self._drops = (now - self._drops_before) % (1 << 32)
        return {"kernel_drops": self._drops}

    def close(self) -> None:
        """The socket belongs to who opened it; its last count is kept."""
        self.counters()


class UDPCapture(PacketCapture):
    """Packets from a socket into a ring; a context manager.

    Call :meth:`recv` again and again, or :meth:`start` and :meth:`stop`: then it runs in its own thread.

    Parameters
    ----------
    packet_format
        A name; with a number, such as ``chips_132``, packets of any other size are refused.
    udp_socket
        Bound. Its ``timeout`` is the time without packets after which :meth:`recv` ends the sequence. It stays open.
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

    Notes
    -----
    The loop is compiled and does not need the GIL: what a notebook does meanwhile does not disturb it. When readers
    hold all of the ring, the socket is still drained; whole gulps are discarded and counted as ``ring_full``.
    """

    def __init__(
        self,
        packet_format: str | PacketFormat,
        udp_socket: UDPSocket,
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
        **options: Any,
    ) -> None:
        product(nsrc)
        packets = UDPPackets(udp_socket, max_size)
        sink = RingSink(ring, is_live=True)
        try:
            super().__init__(
                packet_format, packets, sink, nsrc=nsrc, src0=src0, ntime_gulp=ntime_gulp, ntime_slot=ntime_slot,
                sequence_callback=sequence_callback, core=core, max_size=max_size, **options,
            )  # fmt: skip
        except BaseException:
            sink.close()
            raise
        self._packets, self._flush_s = packets, flush_s
        self._is_batched = m.CAN_BATCH and not portable
        self._messages = m.Messages(packets.rows)
        self._control = np.zeros(8, np.int64)
        self._batch = Batch(packets.rows.reshape(-1), packets.offsets, packets.lengths, position=_PACKETS)
        self._waits_s = -1.0
        self._quiet_since = self._handed_out_at = time.monotonic()

    def _step(self) -> CaptureStatus:
        """Packets until a gulp is handed out; then, or when nothing comes, look at the time."""
        self._quiet_since = time.monotonic()
        while not self._stopping.is_set():
            got, status = self._fetch_many() if self._is_batched else self._fetch()
            now = time.monotonic()
            if status is not None:
                self._handed_out_at = now
                return status
            if got:
                self._quiet_since = now
            late = self._look_at_time(now)
            if late is not None:
                return late
        return CaptureStatus.INTERRUPTED

    def _look_at_time(self, now: float) -> CaptureStatus | None:
        timeout = self._packets.socket.timeout
        if timeout is not None and now - self._quiet_since >= timeout:
            return CaptureStatus.ENDED if self._assembly.finish() else CaptureStatus.NO_DATA
        if now - self._handed_out_at >= self._flush_s:
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

    def _fetch_many(self) -> tuple[bool, CaptureStatus | None]:
        """The same with many packets at a time, in compiled code."""
        batch, control = self._batch, self._control
        if batch is None:
            return False, None
        if self._assembly.has_held:
            return True, self._assembly.place_held()
        before = int(control[m.FETCHED])
        wait = self._packets.socket.timeout
        self._set_timeout(_SLICE_S if wait is None else min(_SLICE_S, max(wait, 0.001)))
        control[m.DEADLINE] = time.monotonic_ns() + int(min(self._flush_s, 1.0) * 1e9)
        status = self._assembly.receive(
            self._packets.socket.fileno(), self._messages, control, address_of(control), batch
        )
        failure = int(control[m.ERROR])
        if failure and failure not in _NOTHING | _INTERRUPTED:
            raise ResourceError.of(OSError(failure, f"error {failure} of the socket"), "receiving packets")
        return bool(control[m.FETCHED] > before), status

    def _set_timeout(self, seconds: float) -> None:
        """How long the system waits for a packet; Python's own timeouts are for Python's own calls."""
        if seconds == self._waits_s:
            return
        opened = self._packets.socket.socket
        opened.setblocking(True)
        whole = math.floor(seconds)
        packed = struct.pack("ll", whole, int((seconds - whole) * 1e6))
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, packed)
        self._waits_s = seconds

    def stop(self) -> None:
        """End capturing: all frames that came are handed out, and the sequence ends."""
        self._control[m.STOP] = 1
        try:
            super().stop()
        finally:
            self._control[m.STOP] = 0
