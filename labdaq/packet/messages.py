"""Many packets with one call of the system: recvmmsg and sendmmsg, Linux on x86-64 and 64-bit ARM.

A message is eight words: 2 is the address of its vector (address and length of one piece of memory), 3 its
length, 1; the low half of 7 is the number of bytes that went over.
"""

import platform
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labdaq.native import jit
from labdaq.native.atomics import load, load32
from labdaq.native.clocks import coarse_ns
from labdaq.native.libc import HAS_FUTEX, errno_address, syscall
from labdaq.packet import words as w
from labdaq.packet.batch import address_of
from labdaq.packet.placing import place

__all__ = ["CAN_BATCH", "Messages", "receive_and_place", "send_messages"]

_NUMBERS = {"x86_64": (299, 307), "aarch64": (243, 269)}
_RECVMMSG, _SENDMMSG = _NUMBERS.get(platform.machine(), (0, 0))
CAN_BATCH = HAS_FUTEX and _RECVMMSG > 0
"""Whether this system has both calls."""

_WAIT_FOR_ONE, _REAL_LENGTH, _NO_SIGNAL = 0x10000, 0x20, 0x4000

# ---- control words of the loop
STOP, COUNT, ERROR, DEADLINE, FETCHED = 0, 1, 2, 3, 4


class Messages:
    """Messages over rows of memory.

    Parameters
    ----------
    rows
        Each row is the memory of a packet.
    """

    def __init__(self, rows: NDArray[np.uint8]) -> None:
        count, size = rows.shape
        self.rows = rows
        self.vectors = np.zeros((count, 2), np.int64)
        self.vectors[:, 0] = address_of(rows) + np.arange(count) * size
        self.vectors[:, 1] = size
        self.words = np.zeros((count, 8), np.int64)
        self.words[:, 2] = address_of(self.vectors) + 16 * np.arange(count)
        self.words[:, 3] = 1
        self.address = address_of(self.words)


@jit
def receive_and_place(
    descriptor: int, messages: Any, message_address: int, control: Any, control_address: int,
    base: int, offsets: Any, lengths: Any, position: int, decoder: Any,
    words: Any, word_address: int, slots: Any, counts: Any, by_source: Any, stash: Any,
) -> int:  # fmt: skip
    """Fetch packets and place them, until Python is needed; like :func:`labdaq.packet.placing.place`.

    ``control[ERROR]`` is not 0 when nothing came (EAGAIN) or the call failed; the loop also ends when
    ``control[STOP]`` is set from outside, or ``control[DEADLINE]`` of the coarse clock is over.
    """
    control[ERROR] = 0
    while True:
        if position >= control[COUNT]:
            if load(control_address) or coarse_ns() > control[DEADLINE]:
                words[w.STATUS] = w.USED_UP
                return position
            room = messages.shape[0]
            got = syscall(_RECVMMSG, descriptor, message_address, room, _WAIT_FOR_ONE | _REAL_LENGTH, 0, 0)
            control[COUNT] = position = 0
            if got < 0:
                control[ERROR] = load32(errno_address())
                words[w.STATUS] = w.USED_UP
                return 0
            for i in range(got):
                lengths[i] = messages[i, 7] & 0xFFFFFFFF
            control[COUNT] = got
            control[FETCHED] += got
        position = place(
            base, offsets, lengths, position, control[COUNT], decoder,
            words, word_address, slots, counts, by_source, stash,
        )  # fmt: skip
        if words[w.STATUS] != w.USED_UP:
            return position


@jit
def send_messages(descriptor: int, message_address: int, begin: int, end: int) -> int:
    """Send messages from one to another; how many went, or minus the error number if none did."""
    sent = begin
    while sent < end:
        went = syscall(_SENDMMSG, descriptor, message_address + 64 * sent, min(end - sent, 1024), _NO_SIGNAL, 0, 0)
        if went < 0:
            return sent - begin if sent > begin else -int(load32(errno_address()))
        sent += went
    return sent - begin
