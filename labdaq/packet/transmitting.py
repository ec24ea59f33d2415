"""Packets to the network, at a rate of one's choice."""

import errno
import time

import numpy as np
from numpy.typing import NDArray

from labdaq.errors import ResourceError
from labdaq.packet.format import PacketFormat
from labdaq.packet.pace import Pace
from labdaq.packet.sending import CAN_SEND_MANY, Outbox, most_per_message
from labdaq.packet.udp_socket import UDPSocket
from labdaq.packet.writing import PacketWriter

__all__ = ["PacketSender", "UDPTransmit"]

_TRY_AGAIN = {errno.EAGAIN, errno.ENOBUFS, errno.ECONNREFUSED, errno.EINTR}
_NO_SEGMENTS = {errno.EINVAL, errno.EIO, errno.EMSGSIZE, errno.EOPNOTSUPP}
_PATIENCE_S = 1.0


class PacketSender:
    """Sends packets through a socket: as many as there are, at a rate.

    Parameters
    ----------
    udp_socket
        Connected. It stays open.
    portable
        Packet by packet, as systems other than Linux do.
    offload
        Let the system take many packets of one length apart (GSO), where it does.
    """

    def __init__(self, udp_socket: UDPSocket, *, portable: bool = False, offload: bool = True) -> None:
        udp_socket.fileno()
        self._socket = udp_socket
        self.pace = Pace()
        self._is_batched = CAN_SEND_MANY and not portable
        self._may_offload = offload and self._is_batched
        self._last: tuple[tuple[int, ...], Outbox] | None = None

    def send(self, headers: NDArray[np.uint8], payloads: NDArray[np.uint8], before: int = 0) -> None:
        """Send packets, of each a row of its header and one of its payload.

        Raises
        ------
        ResourceError
            When the system refuses for a second; says after how many packets, and ``before``.
        """
        self._socket.socket.setblocking(True)
        outbox = self._outbox(headers, payloads)
        sent, count = 0, len(headers)
        self.pace.begin(time.monotonic())
        while sent < count:
            allowed = self.pace.allowed(time.monotonic(), count - sent)
            if allowed == 0:
                time.sleep(self.pace.wait_s(time.monotonic()))
                continue
            end = sent + allowed
            while sent < end:
                went = self._try(headers, payloads, outbox, sent, end, before)
                if went == 0:
                    outbox = self._outbox(headers, payloads)
                sent += went

    def _outbox(self, headers: NDArray[np.uint8], payloads: NDArray[np.uint8]) -> Outbox | None:
        if not self._is_batched:
            return None
        size = headers.shape[1] + payloads.shape[1]
        many = most_per_message(size) if self._may_offload and not self.pace.rate else 1
        form = (len(headers), headers.shape[1], payloads.shape[1], many)
        if self._last is None or self._last[0] != form:  # nearly always the same again
            self._last = form, Outbox.of_rows(headers, payloads, many)
        else:
            self._last[1].aim(headers, payloads)
        return self._last[1]

    def _try(
        self, headers: NDArray[np.uint8], payloads: NDArray[np.uint8], outbox: Outbox | None,
        begin: int, end: int, before: int,
    ) -> int:  # fmt: skip
        """Some of the packets; how many. 0 when they have to go one by one from now on."""
        give_up = time.monotonic() + _PATIENCE_S
        while True:
            if outbox is not None:
                went = outbox.send(self._socket.fileno(), begin, end)
            else:
                went = self._send_one(headers[begin], payloads[begin])
            if went > 0:
                return went
            if (
                outbox is not None and outbox.per_message > 1 and -went in _NO_SEGMENTS
            ):  # packets larger than the network takes, or an old card
                self._may_offload = False
                return 0
            if -went not in _TRY_AGAIN or time.monotonic() > give_up:
                error = OSError(-went, errno.errorcode.get(-went, "unknown error"))
                raise ResourceError.of(error, f"sending packets (after {before + begin} of them)") from error

    def _send_one(self, header: NDArray[np.uint8], payload: NDArray[np.uint8]) -> int:
        try:
            self._socket.socket.send(header.tobytes() + payload.tobytes())
        except OSError as error:
            return -(error.errno or errno.EIO)
        return 1


class UDPTransmit(PacketWriter):
    """Packets to a socket.

    Parameters
    ----------
    packet_format, core
        As for :class:`PacketWriter`.
    udp_socket
        Connected. It stays open.
    portable, offload
        As for :class:`PacketSender`.
    """

    _part_nbytes = 16 << 20  # nothing is copied, so that only lists of packets grow with it

    def __init__(
        self,
        packet_format: str | PacketFormat,
        udp_socket: UDPSocket,
        core: int | None = None,
        *,
        portable: bool = False,
        offload: bool = True,
    ) -> None:
        super().__init__(packet_format, core)
        self._sender = PacketSender(udp_socket, portable=portable, offload=offload)

    def set_rate_limit(self, rate: float) -> None:
        """Packets per second at most; 0 for no limit."""
        self._sender.pace = Pace(rate)

    def _put(self, headers: NDArray[np.uint8], payloads: NDArray[np.uint8], before: int) -> None:
        self._sender.send(headers, payloads, before)
