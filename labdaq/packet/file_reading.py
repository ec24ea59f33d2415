"""Packets of a packet file, piece by piece, without the GIL.

The system copies a piece into memory that stays in the cache of a core until its packets are placed. Mapping the file
instead saves this copy and costs as much: of each page of 4 KiB the address is looked up anew, and the placing, which
jumps, waits for memory.
"""

import errno
import platform
from typing import Any

from labdaq.native import jit
from labdaq.native.atomics import copy_bytes, load32, peek, poke
from labdaq.native.libc import HAS_FUTEX, errno_address, syscall
from labdaq.packet import words as w
from labdaq.packet.looking import find_packets
from labdaq.packet.placing import place

__all__ = ["CAN_READ", "next_piece", "read_and_place"]

_PREAD = {"x86_64": 17, "aarch64": 67}.get(platform.machine(), 0)
CAN_READ = HAS_FUTEX and _PREAD > 0
"""Whether this system has the call."""

_PIECE = 256 << 10
_MOST_PIECES = 64  # after which Python may look at what else there is
_INTERRUPTED = errno.EINTR

# ---- control words
FILE = 0  # descriptor; -1: Python fills the memory
AT = 1  # where in the file the memory begins
BEGIN, END = 2, 3  # the part of the memory that was not handed out
OVER = 4  # 1 when nothing more comes
COUNT = 5  # packets that were found last
SKIPPED = 6  # bytes passed over
ERROR = 7
ROOM = 8  # bytes of the memory
FIXED = 9  # bytes of a packet if all are of one size, else 0
KNOWN, RECORD = 10, 11  # addresses of what decoders read and write
WORDS = 12


@jit
def read_and_place(
    control: int, base: int, offsets: Any, lengths: Any, result: Any, position: int, decoder: Any, words: int
) -> int:
    """Read packets and place them, until Python is needed; like :func:`labdaq.packet.placing.place`."""
    for _ in range(_MOST_PIECES):
        position = place(base, offsets, lengths, position, peek(control + 8 * COUNT), decoder, words)
        if peek(words + 8 * w.STATUS) != w.USED_UP:
            break
        position = 0
        if next_piece(control, base, offsets, lengths, result, decoder) <= 0:
            break
    return position


@jit
def next_piece(control: int, base: int, offsets: Any, lengths: Any, result: Any, decoder: Any) -> int:
    """Find the packets of the next piece; how many there are. 0: more has to be read; -1: there are no more."""
    poke(control + 8 * COUNT, 0)
    if peek(control + 8 * FILE) >= 0:
        _read(control, base)
    begin, end, is_over = peek(control + 8 * BEGIN), peek(control + 8 * END), peek(control + 8 * OVER)
    if peek(control + 8 * ERROR) or (is_over and begin >= end):
        return -1
    count = find_packets(
        base, begin, end, decoder, peek(control + 8 * KNOWN), peek(control + 8 * RECORD), is_over != 0,
        peek(control + 8 * FIXED), offsets, lengths, result,
    )  # fmt: skip
    poke(control + 8 * BEGIN, result[0])
    poke(control + 8 * SKIPPED, peek(control + 8 * SKIPPED) + result[1])
    poke(control + 8 * COUNT, count)
    return -1 if is_over and count == 0 and result[0] == begin else count


@jit
def _read(control: int, base: int) -> None:
    """A piece behind what is left of the memory, which goes to its beginning."""
    begin, end = peek(control + 8 * BEGIN), peek(control + 8 * END)
    left = end - begin
    if begin > 0 and (left <= begin or end >= peek(control + 8 * ROOM)):
        for done in range(0, left, begin):  # in parts that do not overlap
            copy_bytes(base + done, base + begin + done, min(begin, left - done))
        poke(control + 8 * AT, peek(control + 8 * AT) + begin)
        begin, end = 0, left
    room = min(_PIECE, peek(control + 8 * ROOM) - end)
    poke(control + 8 * BEGIN, begin)
    poke(control + 8 * END, end)
    if peek(control + 8 * OVER) or room <= 0:
        return
    where = peek(control + 8 * AT) + end
    got = int(syscall(_PREAD, peek(control + 8 * FILE), base + end, room, where, 0, 0))
    if got > 0:
        poke(control + 8 * END, end + got)
    elif got == 0:
        poke(control + 8 * OVER, 1)
    elif int(load32(errno_address())) != _INTERRUPTED:
        poke(control + 8 * ERROR, int(load32(errno_address())))
