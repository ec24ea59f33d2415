"""Packets to the network, at a rate of one's choice."""

import errno
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labdaq.errors import LayoutError, ResourceError
from labdaq.packet import messages as m
from labdaq.packet.format import PacketFormat
from labdaq.packet.udp_socket import UDPSocket
from labdaq.packet.writing import PacketWriter

__all__ = ["Pace", "UDPTransmit"]

_BURST = 8
_AHEAD_S = 0.001
_TRY_AGAIN = {errno.EAGAIN, errno.ENOBUFS, errno.ECONNREFUSED, errno.EINTR}
_PATIENCE_S = 1.0


class Pace:
    """When packets may go, so that they keep to a rate: never more than 8 packets or 1 ms ahead of it.

    Time that was not used is not made up for.

    Parameters
    ----------
    rate
        Packets per second; 0 for no limit.

    Examples
    --------
    >>> pace = Pace(1_000_000)
    >>> pace.allowed(now=5.0), pace.allowed(now=5.0), pace.allowed(now=5.000004)
    (8, 0, 4)
    """

    def __init__(self, rate: float = 0.0) -> None:
        if not rate >= 0:
            raise LayoutError(f"rate {rate!r}: packets per second, or 0 for no limit")
        self.rate = rate
        self._due = -np.inf  # when the next packet should go

    def allowed(self, now: float, most: int = 1 << 30) -> int:
        """How many packets may go at a time in seconds; they count as gone."""
        if not self.rate:
            return most
        ahead = max(1.0, min(_BURST, _AHEAD_S * self.rate)) / self.rate
        self._due = max(self._due, now - 1e-9)
        count = min(most, int((now + ahead - self._due) * self.rate + 1e-3))
        self._due += count / self.rate
        return count

    def wait_s(self, now: float) -> float:
        """Seconds until the next one may go."""
        ahead = max(1.0, min(_BURST, _AHEAD_S * self.rate)) / self.rate
        return float(max(0.0, self._due + 1 / self.rate - ahead - now))


class UDPTransmit(PacketWriter):
    """Packets to a socket.

    Parameters
    ----------
    packet_format, core
        As for :class:`PacketWriter`.
    udp_socket
        Connected. It stays open.
    portable
        Send packet by packet, as systems other than Linux do.
    """

    def __init__(
        self,
        packet_format: str | PacketFormat,
        udp_socket: UDPSocket,
        core: int | None = None,
        *,
        portable: bool = False,
    ) -> None:
        super().__init__(packet_format, core)
        udp_socket.fileno()
        self._socket = udp_socket
        self._pace = Pace()
        self._is_batched = m.CAN_BATCH and not portable

    def set_rate_limit(self, rate: float) -> None:
        """Packets per second at most; 0 for no limit."""
        self._pace = Pace(rate)

    def _put(self, packets: NDArray[np.uint8], before: int) -> None:
        self._socket.socket.setblocking(True)
        messages = m.Messages(packets) if self._is_batched else None
        sent, count = 0, len(packets)
        while sent < count:
            allowed = self._pace.allowed(time.monotonic(), count - sent)
            if allowed == 0:
                time.sleep(self._pace.wait_s(time.monotonic()))
                continue
            end = sent + allowed
            while sent < end:
                sent += self._send(packets, messages, sent, end, before)

    def _send(self, packets: NDArray[np.uint8], messages: Any, begin: int, end: int, before: int) -> int:
        """Some of the packets; how many."""
        give_up = time.monotonic() + _PATIENCE_S
        while True:
            went = (
                m.send_messages(self._socket.fileno(), messages.address, begin, end)
                if messages is not None
                else _send_one(self._socket, packets[begin])
            )
            if went > 0:
                return went
            if -went not in _TRY_AGAIN or time.monotonic() > give_up:
                error = OSError(-went, errno.errorcode.get(-went, "unknown error"))
                raise ResourceError.of(error, f"sending packets (after {before + begin} of them)") from error


def _send_one(udp_socket: UDPSocket, packet: NDArray[np.uint8]) -> int:
    try:
        udp_socket.socket.send(packet.data)
    except OSError as error:
        return -(error.errno or errno.EIO)
    return 1
