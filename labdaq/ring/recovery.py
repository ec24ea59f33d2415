"""What becomes of the claims of those who leave, or died.

A reader's claim is given up, so that another member of its group takes it over and delivers it again. A
writer's claim is voided: its frames are a gap in the index, marked so that nobody reads them. The last
frames of the only writer of a sequence are given back as if they had never been claimed.
"""

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from labdaq.ring import groups, sequence_table
from labdaq.ring import words as w
from labdaq.ring.layout import FLAGS_PLANE
from labdaq.ring.participants import Place, lost_places
from labdaq.ring.sequencer import advance, end_of, find_claim, finish, give_back, orphan, start_of
from labdaq.ring.writing_steps import commit, lose_overwritten

if TYPE_CHECKING:
    from labdaq.ring.core import RingCore

__all__ = ["claims_of", "give_back_all", "recover", "settle", "void_rest"]


def claims_of(sequencer: int, owner: int) -> Iterator[int]:
    """Tickets that a participant holds, oldest first."""
    ticket = find_claim(sequencer, w.CLAIM_SLOTS, owner, 0)
    while ticket >= 0:
        yield ticket
        ticket = find_claim(sequencer, w.CLAIM_SLOTS, owner, ticket + 1)


def recover(core: "RingCore") -> int:
    """Settle everybody who is gone; how many there were. The ring must be locked."""
    lost = lost_places(core.control)
    for place in lost:
        is_dead = place[w.P_STATE] == w.P_LIVE
        settle(core, place)
        if is_dead:
            core.control[w.RECOVERED] += 1
    groups.dissolve_empty(core.control)  # of those who died between two steps of coming or going
    return len(lost)


def settle(core: "RingCore", place: Place) -> None:
    """Deal with all that a participant still holds, then free its place. The ring must be locked."""
    role = place[w.P_ROLE]
    if role == w.WRITER:
        for ticket in claims_of(core.control.writers, place.number):
            void(core, ticket, place.number)
    elif role == w.EXCLUSIVE_WRITER:
        _settle_sequence_writer(core, place)
    elif role in (w.READER, w.SEQUENCE_READER):
        _settle_reader(core, place)
    place.free()
    groups.dissolve_empty(core.control)
    _advance_all(core)


def _advance_all(core: "RingCore") -> None:
    """Move every frontier over what those who died had finished, but not passed, and wake everyone."""
    for sequencer in core.control.sequencers():
        advance(sequencer, w.CLAIM_SLOTS)
    core.control.wake_all()


def void(core: "RingCore", ticket: int, owner: int) -> None:
    """Finish a write of which nothing was filled."""
    writers = core.control.writers
    start, end = start_of(writers, w.CLAIM_SLOTS, ticket), end_of(writers, w.CLAIM_SLOTS, ticket)
    _zero(core, start, end)
    _mark(core, start, end)
    if finish(writers, w.CLAIM_SLOTS, ticket, owner) >= 0:  # only one can; that one counts
        core.count_voided(end - start)
    core.control.wake_all()


def void_rest(core: "RingCore", handle: int, start: int, kept: int, end: int) -> bool:
    """Publish a write whose frames from ``kept`` on were never filled.

    False when the ring of bytes has as many holes as it can remember; then nothing was changed.
    """
    if not core.is_typed and not _mark(core, kept, end):
        return False
    _zero(core, kept, end)
    return commit(handle, start, kept) >= 0


def _mark(core: "RingCore", start: int, end: int) -> bool:
    """Note that these frames were never filled: by their flags, or where there are none in the log of holes."""
    memory = core.current_memory()
    flags = memory.planes.get(FLAGS_PLANE)
    if flags is None:
        return end == start or sequence_table.log_hole(core.control, start, end, end - memory.capacity)
    core.control[w.HAS_VOIDS] = 1
    for part in flags.parts(start, end - start, writable=True):
        part[...] = w.VOID
    return True


def _zero(core: "RingCore", start: int, end: int) -> None:
    """Sequences show such frames as zeros, so that the axis of time is whole."""
    for part in core.current_memory().data.parts(start, end - start, writable=True):
        part[...] = np.zeros((), part.dtype)[()]  # a scalar: arrays of GPUs take no arrays of the processor


def give_back_all(core: "RingCore", place: Place) -> None:
    """Give back what the only writer of a ring has open, the last first; void what lies before others."""
    writers = core.control.writers
    if core.has_memory:
        lose_overwritten(core.control.address, core.current_memory().data.slots)
    for ticket in reversed(list(claims_of(writers, place.number))):
        start = start_of(writers, w.CLAIM_SLOTS, ticket)
        if give_back(writers, w.CLAIM_SLOTS, ticket, place.number, start) == 0:
            void(core, ticket, place.number)


def _settle_sequence_writer(core: "RingCore", place: Place) -> None:
    control = core.control
    give_back_all(core, place)
    number = control[w.SEQUENCE_COUNT] - 1
    setup = sequence_table.find(control, number)
    if setup is not None and control.at(setup.address + w.Q_WRITER) == place.number:
        sequence_table.end(control, number, is_truncated=True)
    core.end()  # nobody else writes, so readers would wait for ever


def _settle_reader(core: "RingCore", place: Place) -> None:
    control = core.control
    if place[w.P_GROUP] == 0:  # died before it had one
        return
    group = control.address + place[w.P_GROUP]
    given_up = sum(orphan(group, w.CLAIM_SLOTS, ticket, place.number) for ticket in claims_of(group, place.number))
    control.put(group + w.ORPHANS, time.monotonic_ns())
    control[w.REDELIVERED] += given_up
