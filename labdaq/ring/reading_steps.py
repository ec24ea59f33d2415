"""What the members of reader groups do with a ring, as compiled steps on a handle.

The rules of :mod:`labdaq.ring.writing_steps` hold here too.
"""

from labdaq.native import inlined, jit
from labdaq.native.atomics import load, peek, poke
from labdaq.ring import words as w
from labdaq.ring.sequencer import (
    adopt,
    claim,
    claimed_end,
    end_of,
    finish,
    next_ticket,
    owner_of,
    record_address,
    state_of,
    ticket_at,
)
from labdaq.ring.waiting import count, count_span, wake


@jit
def sequence_address(block: int, number: int) -> int:
    """Where the sequence with a number stands, or stood."""
    return block + load(block + w.SEQUENCES) + (number % w.SEQUENCE_SLOTS) * w.SEQUENCE_NBYTES


@inlined
def border_after(block: int, frame: int) -> int:
    """The first frame of the sequence that follows the one with this frame; HORIZON when none does."""
    if load(block + w.LAST_BEGIN) <= frame:
        return w.HORIZON
    count = load(block + w.SEQUENCE_COUNT)
    border = w.HORIZON
    for number in range(count - 1, max(count - w.SEQUENCE_SLOTS, 0) - 1, -1):
        begin = load(sequence_address(block, number) + w.Q_BEGIN)
        if begin <= frame:
            return border
        border = begin
    return border


@inlined
def last_frame(handle: int, block: int, position: int) -> int:
    """Where the sequence at a position ends, as far as that is known now; HORIZON when it is not."""
    border = border_after(block, position)
    entry = peek(handle + w.ENTRY)
    if entry == 0:
        return border
    end = load(entry + w.Q_END)
    if load(entry + w.Q_NUMBER) != peek(handle + w.ENTRY_NUMBER):
        return position  # its place was taken by a later one, which happens only after its last frame
    return border if end == w.OPEN_END else min(border, end)


@jit
def nothing_more(handle: int, block: int, position: int) -> int:
    """Where reading from a position will end for good, or -1 while that is not known."""
    last = last_frame(handle, block, position)
    if last != w.HORIZON:
        return last
    writers = block + load(block + w.WRITERS)
    if load(block + w.STATE) == w.ENDED:
        return claimed_end(writers, load(block + w.CLAIMS))
    return -1


@inlined
def try_acquire(handle: int, least: int, most: int) -> int:
    """Claim frames to read: the first, or AGAIN, OVER, FULL, MOVED.

    Fewer than ``least`` are claimed only where no more can come: before the border of a sequence, at the
    end of it or of the ring.
    """
    block = peek(handle + w.BLOCK)
    group = peek(handle + w.SEQUENCER)
    claims = load(block + w.CLAIMS)
    if load(group + w.ORPHANS) != 0 and _adopt(handle, group, claims):
        return peek(handle + w.START)
    # The frontier is read before the last border: a sequence that begins later begins behind it.
    frontier = load(block + load(block + w.WRITERS) + w.FRONTIER)
    if peek(handle + w.ENTRY) == 0 and load(block + w.LAST_BEGIN) <= load(group + w.FRONTIER):
        start = _claim(handle, block, group, claims, frontier, least, most)
        if start != w.AGAIN:
            return start
    while True:
        position = claimed_end(group, claims)
        limit = min(frontier, last_frame(handle, block, position))
        if limit - position < least:
            limit = nothing_more(handle, block, position)
            if limit < 0 or limit > frontier:
                return w.AGAIN
            if limit <= position:
                return w.AGAIN if _may_get_more(handle, block, group) else w.OVER
            least = 1
        # Another member may claim first: then the limit, which is right for this position, is too low for
        # the next, and nothing is claimed. So no claim ever crosses a border.
        start = _claim(handle, block, group, claims, limit, least, most)
        if start != w.AGAIN or claimed_end(group, claims) == position:
            return start


@inlined
def _claim(handle: int, block: int, group: int, claims: int, limit: int, least: int, most: int) -> int:
    """Claim, unless the data memory was replaced: every replacement raises the epoch."""
    owner = peek(handle + w.OWNER)
    if owner == 0:  # closed, or of the parent before a fork
        return w.BUSY
    while True:
        epoch = peek(handle + w.LIMIT_EPOCH)
        start = claim(group, claims, owner, limit, least, most, block + w.EPOCH, epoch, handle)
        if start != w.STALE:
            return start
        epoch = load(block + w.EPOCH)
        if load(block + w.GENERATION) != peek(handle + w.MY_GENERATION):
            return w.MOVED
        poke(handle + w.LIMIT_EPOCH, epoch)


@jit
def _adopt(handle: int, group: int, claims: int) -> bool:
    """Take over what a dead member had, if somebody else is not faster."""
    start = adopt(group, claims, peek(handle + w.OWNER), handle)
    if start < 0:
        return False
    poke(handle + w.ADOPTED, peek(handle + w.TICKET))
    count(handle, w.P_REDELIVERED, peek(handle + w.END) - start)
    return True


@jit
def _may_get_more(handle: int, block: int, group: int) -> bool:
    """At the end, a claim held by another process may still be given up, if that process dies."""
    claims = load(block + w.CLAIMS)
    for ticket in range(load(group + w.DONE), next_ticket(group, claims)):
        word = load(record_address(group, claims, ticket))
        holder = participant_address(block, owner_of(word))
        if state_of(word) == w.ORPHANED:
            return True
        if state_of(word) == w.CLAIMED and load(holder + w.P_PID) != load(peek(handle + w.PARTICIPANT) + w.P_PID):
            return True
    return False


@jit
def participant_address(block: int, number: int) -> int:
    """Where the participant with a number (from 1) stands."""
    return block + load(block + w.PARTICIPANTS) + (number - 1) * w.PARTICIPANT_NBYTES


@jit
def was_adopted(handle: int, start: int) -> bool:
    """Whether the claim that begins at a frame was taken over from a dead member."""
    return ticket_at(handle, load(peek(handle + w.BLOCK) + w.CLAIMS), start) == peek(handle + w.ADOPTED)


@jit
def release(handle: int, start: int) -> int:
    """End the claim that begins at a frame: writers may use its frames again. LOST when it was taken away."""
    block = peek(handle + w.BLOCK)
    claims = load(block + w.CLAIMS)
    ticket = ticket_at(handle, claims, start)
    if ticket < 0:
        return w.LOST
    end = end_of(peek(handle + w.SEQUENCER), claims, ticket)
    moved = finish(peek(handle + w.SEQUENCER), claims, ticket, peek(handle + w.OWNER))
    if moved >= 0:
        count_span(handle, end - start)
    if moved == 1:
        wake(block, w.SPACE_EVENT)
    return moved
