"""The datagrams of sockets as a transport, packet by packet: for systems that cannot fetch many at once."""

import contextlib
import select
from collections.abc import Sequence

import numpy as np

from labdaq.errors import LayoutError
from labdaq.packet import receiving as r
from labdaq.packet.batch import Batch
from labdaq.packet.udp_socket import UDPSocket

__all__ = ["UDPPackets"]

_SLICE_S = 0.05
_PACKETS = 64
_TOO_LONG = 10040  # Windows says so when a datagram is longer than its memory
_RAW_HEADERS = 60 + 8


class UDPPackets:
    """The datagrams of one socket or several.

    Parameters
    ----------
    sockets
        Bound, or sniffing.
    max_size
        The largest datagram; longer ones are refused as of the wrong size.

    Raises
    ------
    LayoutError
        When there is no socket, or some are sniffing or merging and others are not.
    """

    is_live = True

    def __init__(self, sockets: Sequence[UDPSocket], max_size: int) -> None:
        self.sockets = list(sockets)
        self.descriptors = [one.fileno() for one in sockets]  # which refuses those that are not open
        kinds = {_kind(one) for one in sockets}
        if len(kinds) != 1:
            raise LayoutError("sockets of one capture: one at least, and all bound, all merging or all sniffing")
        self.kind = kinds.pop()
        self._size = max_size + 1 + (_RAW_HEADERS if self.kind == r.RAW else 0)
        self._rows: np.ndarray[tuple[int, ...], np.dtype[np.uint8]] | None = None
        self._drops_before = [one.drops for one in sockets]
        self._drops: int | None = None

    @property
    def timeout(self) -> float | None:
        """The longest of the sockets', in seconds; None waits for ever."""
        every = [one.timeout for one in self.sockets]
        return None if None in every else max(seconds for seconds in every if seconds is not None)

    def next_batch(self) -> Batch | None:
        """What has come. None: nothing for 50 ms."""
        if self._rows is None:
            self._rows = np.zeros((_PACKETS, self._size), np.uint8)
            self._stop_merging()
        ready = select.select(self.descriptors, [], [], _SLICE_S)[0]
        lengths: list[int] = []
        share = max(1, _PACKETS // max(1, len(ready)))  # so that a busy one does not keep the others waiting
        for one in self.sockets:
            if one.fileno() in ready:
                self._fetch(one, lengths, min(len(lengths) + share, _PACKETS))
        if not lengths:
            return None
        offsets = np.arange(len(lengths)) * self._size
        batch = Batch(self._rows.reshape(-1), offsets, np.array(lengths, np.int64))
        return _without_headers(batch) if self.kind == r.RAW else batch

    def _stop_merging(self) -> None:
        for one in self.sockets:
            one.merge(False)
        self.kind = r.PLAIN if self.kind == r.MERGED else self.kind

    def _fetch(self, source: UDPSocket, lengths: list[int], most: int) -> None:
        source.socket.setblocking(False)
        with contextlib.suppress(BlockingIOError, ConnectionError):
            while self._rows is not None and len(lengths) < most:
                try:
                    lengths.append(source.socket.recv_into(self._rows[len(lengths)]))
                except OSError as error:
                    if error.errno != _TOO_LONG:
                        raise
                    lengths.append(self._size)

    def counters(self) -> dict[str, int | None]:
        """What the system dropped since the capture began."""
        every = [one.drops for one in self.sockets]
        pairs = list(zip(every, self._drops_before, strict=True))
        if not any(now is None or before is None for now, before in pairs):
            self._drops = sum(
                (now - before) % (1 << 32) for now, before in pairs if now is not None and before is not None
            )
        return {"kernel_drops": self._drops, "drops_are_at_least": self.kind == r.MERGED}

    def close(self) -> None:
        """The sockets belong to who opened them; their last count is kept."""
        self.counters()


def _kind(one: UDPSocket) -> int:
    return r.RAW if one.is_sniffing else r.MERGED if one.is_merging else r.PLAIN


def _without_headers(batch: Batch) -> Batch:
    """The payloads of IP packets."""
    for i in range(len(batch)):
        packet = batch.packet(i)
        begin = min(4 * int(packet[0] & 15) + 8, len(packet)) if len(packet) else 0
        length = int(packet[begin - 4]) << 8 | int(packet[begin - 3]) if begin >= 8 else 8
        batch.offsets[i] += begin
        batch.lengths[i] = max(0, min(len(packet) - begin, length - 8))
    return batch
