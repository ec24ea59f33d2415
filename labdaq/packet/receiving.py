"""Packets from sockets, many with one call of the system, without the GIL: Linux on x86-64 and 64-bit ARM.

A message of ``recvmmsg`` is eight words: 2 is the address of its vector (address and length of one piece of memory),
3 its length, 1; 4 and 5 are address and length of its control data; the low half of 7 is the number of bytes that came.
"""

import errno
import platform
from typing import Any

from labdaq.native import jit
from labdaq.native.atomics import load, load32, peek, peek8, poke, stack_words
from labdaq.native.clocks import coarse_ns
from labdaq.native.libc import HAS_FUTEX, errno_address, syscall
from labdaq.packet import words as w
from labdaq.packet.loads import be16
from labdaq.packet.placing import place

__all__ = ["CAN_BATCH", "receive_and_place"]

_NUMBERS = {"x86_64": (299, 271), "aarch64": (243, 73)}
_RECVMMSG, _PPOLL = _NUMBERS.get(platform.machine(), (0, 0))
CAN_BATCH = HAS_FUTEX and _RECVMMSG > 0
"""Whether this system has both calls."""

_WAIT_FOR_ONE, _REAL_LENGTH, _DO_NOT_WAIT = 0x10000, 0x20, 0x40
_NOTHING_THERE = errno.EAGAIN
_SEGMENT = 17 | 104 << 32  # SOL_UDP, UDP_GRO: level and type of control data, behind their length

# ---- control words
STOP = 0  # set from outside to end the loop
COUNT = 1  # packets in the batch
ERROR = 2  # not 0 when nothing came (EAGAIN), or a call failed
DEADLINE = 3  # of the coarse clock, in ns
FETCHED = 4  # packets, ever
SOCKETS = 5  # how many
NEXT = 6  # the one to look at next
POLLS = 7  # address of what ppoll takes: a word for each socket, its descriptor in the lower half
WAIT_NS = 8  # how long ppoll waits
KIND = 9  # what is in a message
MESSAGES, ROOM = 10, 11  # address and number
STRIDE = 12  # bytes from message to message
CONTROL_NBYTES = 13  # room for control data
PLAIN, MERGED, RAW = 0, 1, 2  # kinds: one packet; several of one length (GRO); one with its IP and UDP headers
WORDS = 16


@jit
def receive_and_place(
    control: int, base: int, offsets: Any, lengths: Any, position: int, decoder: Any, words: int
) -> int:
    """Fetch packets and place them, until Python is needed; like :func:`labdaq.packet.placing.place`.

    `control` is the address of the control words. The loop also ends when the word ``STOP`` is set from outside,
    ``DEADLINE`` is over, or nothing came for a while.
    """
    poke(control + 8 * ERROR, 0)
    while True:
        if position >= peek(control + 8 * COUNT):
            position = 0
            poke(control + 8 * COUNT, 0)
            is_over = load(control + 8 * STOP) or coarse_ns() > peek(control + 8 * DEADLINE)
            got = 0 if is_over else _fetch(control)
            if got <= 0:
                poke(control + 8 * ERROR, -got)
                poke(words + 8 * w.STATUS, w.USED_UP)
                return 0
            got = _sort_out(control, base, offsets, lengths, got)
            poke(control + 8 * COUNT, got)
            poke(control + 8 * FETCHED, peek(control + 8 * FETCHED) + got)
        position = place(base, offsets, lengths, position, peek(control + 8 * COUNT), decoder, words)
        if peek(words + 8 * w.STATUS) != w.USED_UP:
            return position


@jit
def _fetch(control: int) -> int:
    """Messages from the only socket, or the next one that has any; minus the error number when there are none."""
    if peek(control + 8 * SOCKETS) == 1:  # waits as long as SO_RCVTIMEO says
        return _fetch_from(control, 0, _WAIT_FOR_ONE | _REAL_LENGTH)
    got = _fetch_from_any(control)
    if got == -_NOTHING_THERE:
        ready = _wait(control)
        if ready <= 0:
            return ready or -_NOTHING_THERE
        got = _fetch_from_any(control)
    return got


@jit
def _fetch_from_any(control: int) -> int:
    """In turns, so that a busy socket does not keep the others waiting."""
    got = -_NOTHING_THERE
    count = peek(control + 8 * SOCKETS)
    for _ in range(count):
        which = peek(control + 8 * NEXT)
        poke(control + 8 * NEXT, (which + 1) % count)
        got = _fetch_from(control, which, _DO_NOT_WAIT | _REAL_LENGTH)
        if got != -_NOTHING_THERE:
            break
    return got


@jit
def _fetch_from(control: int, which: int, flags: int) -> int:
    messages, room, space = peek(control + 8 * MESSAGES), peek(control + 8 * ROOM), peek(control + 8 * CONTROL_NBYTES)
    if space:  # the system shortens it to what it wrote
        for i in range(room):
            poke(messages + 64 * i + 40, space)
    descriptor = peek(peek(control + 8 * POLLS) + 8 * which) & 0xFFFFFFFF
    got = int(syscall(_RECVMMSG, descriptor, messages, room, flags, 0, 0))
    return got if got >= 0 else -int(load32(errno_address()))


@jit
def _wait(control: int) -> int:
    """How many sockets have something; 0 when none has for a while, or minus the error number."""
    time = stack_words(2)
    poke(time, 0)
    poke(time + 8, peek(control + 8 * WAIT_NS))
    ready = int(syscall(_PPOLL, peek(control + 8 * POLLS), peek(control + 8 * SOCKETS), time, 0, 0, 0))
    return ready if ready >= 0 else -int(load32(errno_address()))


@jit
def _sort_out(control: int, base: int, offsets: Any, lengths: Any, got: int) -> int:
    """Where packets are in the messages that came; how many there are."""
    messages, kind, stride = peek(control + 8 * MESSAGES), peek(control + 8 * KIND), peek(control + 8 * STRIDE)
    count = 0
    for i in range(got):
        begin, nbytes = i * stride, peek(messages + 64 * i + 56) & 0xFFFFFFFF
        if kind == PLAIN:
            offsets[i], lengths[i] = begin, nbytes
        elif kind == RAW:
            header = 4 * (peek8(base + begin) & 15) + 8
            payload = be16(base + begin + header - 4) - 8
            offsets[i], lengths[i] = begin + header, max(0, min(nbytes - header, payload))
        else:
            count = _split(messages + 64 * i, begin, nbytes, offsets, lengths, count)
    return count if kind == MERGED else got


@jit
def _split(message: int, begin: int, nbytes: int, offsets: Any, lengths: Any, count: int) -> int:
    """One after the other those that the system merged. How many there are now."""
    segment = nbytes
    if peek(message + 40) > 16 and peek(peek(message + 32) + 8) == _SEGMENT:
        segment = peek(peek(message + 32) + 16) & 0xFFFFFFFF
    at = 0
    while True:
        is_last = at + segment >= nbytes or segment == 0 or count == offsets.shape[0] - 1
        offsets[count], lengths[count] = begin + at, nbytes - at if is_last else segment
        count += 1
        at += segment
        if is_last:
            return count
