"""Many packets to a socket with one call of the system: sendmmsg, Linux on x86-64 and 64-bit ARM.

Headers and payloads are gathered by the system from where they are. With *segmentation offload* (GSO) a message
holds many packets of one length, which the system, or the network card, takes apart.
"""

import platform
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labdaq.native import jit
from labdaq.native.atomics import load32
from labdaq.native.libc import HAS_FUTEX, errno_address, syscall
from labdaq.packet.batch import Batch, address_of

__all__ = ["CAN_SEND_MANY", "Outbox", "most_per_message"]

_SENDMMSG = {"x86_64": 307, "aarch64": 269}.get(platform.machine(), 0)
CAN_SEND_MANY = HAS_FUTEX and _SENDMMSG > 0
"""Whether this system has the call."""

_NO_SIGNAL = 0x4000
_SEGMENT, _CONTROL_LENGTH = 17 | 103 << 32, 18  # SOL_UDP, UDP_SEGMENT; its header and two bytes
_MOST_SEGMENTS, _MOST_NBYTES = 64, 65_000
_MOST_AT_ONCE = 1024


class Outbox:
    """Messages over packets in memory, which are not copied.

    Parameters
    ----------
    pieces
        ``(packet, piece, 2)``: address and length of all that makes up a packet.
    memory
        Where that is, which has to last as long as this.
    per_message
        Packets in a message, the last of which may have fewer. If more than 1, all packets are of one length.
    """

    def __init__(self, pieces: NDArray[np.int64], memory: Any, per_message: int = 1) -> None:
        count = len(pieces)
        self.per_message = per_message
        self._memory, self._pieces, self._count = memory, np.ascontiguousarray(pieces), count
        begins = np.arange(0, count, per_message)
        self._messages = np.zeros((len(begins), 8), np.int64)
        self._messages[:, 2] = address_of(self._pieces) + self._pieces.strides[0] * begins
        self._messages[:, 3] = pieces.shape[1] * np.minimum(per_message, count - begins)
        if per_message > 1:
            self._control = np.array([_CONTROL_LENGTH, _SEGMENT, pieces[0, :, 1].sum()], np.int64)
            self._messages[:, 4], self._messages[:, 5] = address_of(self._control), self._control.nbytes

    @classmethod
    def of_rows(cls, headers: NDArray[np.uint8], payloads: NDArray[np.uint8], per_message: int = 1) -> "Outbox":
        """Of each packet a row of its header and one of its payload, both without gaps."""
        pieces = np.empty((len(headers), 2, 2), np.int64)
        pieces[:, :, 1] = headers.shape[1], payloads.shape[1]
        outbox = cls(pieces, None, per_message)
        outbox.aim(headers, payloads)
        return outbox

    def aim(self, headers: NDArray[np.uint8], payloads: NDArray[np.uint8]) -> None:
        """Send other rows from now on, as many and as long as before. They have to last until they were sent."""
        for piece, part in enumerate((headers, payloads)):
            begin = address_of(part)
            self._pieces[:, piece, 0] = np.arange(begin, begin + part.size, part.shape[1])

    @classmethod
    def of_batch(cls, batch: Batch) -> "Outbox":
        """Of packets one after the other."""
        return cls(np.stack([batch.address + batch.offsets, batch.lengths], axis=1)[:, None], batch)

    def send(self, descriptor: int, begin: int, end: int) -> int:
        """Packets from one to another, which begin and end messages; how many went, or minus the error number."""
        first, last = begin // self.per_message, -(-end // self.per_message)
        went = send_messages(descriptor, address_of(self._messages), first, last)
        return went if went < 0 else min((first + went) * self.per_message, self._count) - begin


def most_per_message(nbytes: int) -> int:
    """How many packets of so many bytes a message holds with segmentation offload.

    Examples
    --------
    >>> most_per_message(1440), most_per_message(40_000), most_per_message(16)
    (45, 1, 64)
    """
    return max(1, min(_MOST_SEGMENTS, _MOST_NBYTES // nbytes))


@jit
def send_messages(descriptor: int, messages: int, begin: int, end: int) -> int:
    """Send messages from one to another; how many went, or minus the error number if none did."""
    sent = begin
    while sent < end:
        room = min(end - sent, _MOST_AT_ONCE)
        went = int(syscall(_SENDMMSG, descriptor, messages + 64 * sent, room, _NO_SIGNAL, 0, 0))
        if went < 0:
            return sent - begin if sent > begin else -int(load32(errno_address()))
        sent += went
    return sent - begin
