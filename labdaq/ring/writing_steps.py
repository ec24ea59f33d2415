"""What writers do with a ring, as compiled steps on a handle.

Each step is one call with the address of a handle (:mod:`labdaq.ring.words`), the same from Python, from
other compiled code, in threads and in processes. Results that are frame numbers are >= 0; anything else is
a code of that module.

A handle is used by one thread at a time: it is marked IN_USE during the step, and a second thread gets BUSY
instead of the other's result. Several claims may be open; they are told apart by their first frame.
"""

from labdaq.native import inlined, jit
from labdaq.native.atomics import (
    add,
    fill_bytes,
    load,
    peek,
    poke,
    poke_f64,
    store,
)
from labdaq.ring import words as w
from labdaq.ring.sequencer import advance, claim, claimed_end, end_of, finish, give_back, ticket_at
from labdaq.ring.waiting import count_span, wake


@jit
def group_address(block: int, group: int) -> int:
    """The sequencer of a group by its number from 0."""
    writers = block + load(block + w.WRITERS)
    return writers + (group + 1) * (w.RECORDS + 16 * load(block + w.CLAIMS))


@jit
def oldest_needed(block: int) -> int:
    """The first frame that a guaranteed group or an unfinished write still needs."""
    needed = load(block + load(block + w.WRITERS) + w.FRONTIER)
    for group in range(load(block + w.GROUPS_USED)):
        address = group_address(block, group)
        if load(address + w.KIND) == w.GUARANTEED:
            needed = min(needed, load(address + w.FRONTIER))
    return needed


@inlined
def try_reserve(handle: int, count: int) -> int:
    """Claim ``count`` frames to write: the first, or AGAIN, FULL, MOVED, EXHAUSTED, or OVER (the ring has ended)."""
    block = peek(handle + w.BLOCK)
    writers = peek(handle + w.SEQUENCER)
    claims = load(block + w.CLAIMS)
    is_fresh = False
    while True:
        # The limit is worked out again only when it is reached or its epoch is over: most reserves do
        # not touch the lines of the readers at all.
        epoch, limit = peek(handle + w.LIMIT_EPOCH), peek(handle + w.LIMIT)
        owner = peek(handle + w.OWNER)
        if owner == 0:  # closed, or of the parent before a fork
            return w.BUSY
        start = claim(writers, claims, owner, limit, count, count, block + w.EPOCH, epoch, handle)
        may_help = start == w.STALE or (start in (w.AGAIN, w.FULL) and not is_fresh)
        if not may_help:
            return start
        if advance(writers, claims) == 1:  # whoever moves the frontier wakes those who wait for it
            wake(block, w.DATA_EVENT)
        epoch = load(block + w.EPOCH)
        if load(block + w.STATE) != w.OPEN:
            return w.OVER
        if load(block + w.GENERATION) != peek(handle + w.MY_GENERATION):
            return w.MOVED
        poke(handle + w.LIMIT, oldest_needed(block) + load(block + w.CAPACITY))
        poke(handle + w.LIMIT_EPOCH, epoch)
        is_fresh = True


@inlined
def _mark_filled(handle: int, block: int, start: int, kept: int, end: int) -> None:
    """Set the flags of a claim. Those of filled frames are 0 anyway as long as no frame was ever voided."""
    if kept < end:
        store(block + w.HAS_VOIDS, 1)  # first: whoever reuses a flagged frame must know that it may be
        _flag(handle, kept, end, w.VOID)
    if load(block + w.HAS_VOIDS) != 0:
        _flag(handle, start, kept, 0)


@jit
def _flag(handle: int, start: int, end: int, value: int) -> None:
    flags, slots = peek(handle + w.FLAGS), peek(handle + w.FLAG_SLOTS)
    for frame in range(start, end):
        fill_bytes(flags + frame % slots, 1, value)


@jit
def commit(handle: int, start: int, kept: int) -> int:
    """Publish the claim that begins at a frame. Its frames from ``kept`` on were not filled.

    LOST when the claim was taken away.
    """
    block = peek(handle + w.BLOCK)
    claims = load(block + w.CLAIMS)
    ticket = ticket_at(handle, claims, start)
    if ticket < 0:
        return w.LOST
    end = end_of(peek(handle + w.SEQUENCER), claims, ticket)
    if peek(handle + w.FLAGS) != 0:
        _mark_filled(handle, block, start, kept, end)
    moved = finish(peek(handle + w.SEQUENCER), claims, ticket, peek(handle + w.OWNER))
    if moved >= 0:
        count_span(handle, kept - start)
        if kept < end:
            add(block + w.VOIDED, end - kept)
    if moved == 1:
        wake(block, w.DATA_EVENT)
    return moved


@jit
def lose_overwritten(block: int, slots: int) -> None:
    """Note that frames which the newest claim may have written over are gone, although it is given back."""
    oldest = claimed_end(block + load(block + w.WRITERS), load(block + w.CLAIMS)) - slots
    if load(block + w.KEPT_FROM) < oldest:
        store(block + w.KEPT_FROM, oldest)


@jit
def commit_short(handle: int, start: int, kept: int) -> int:
    """Publish the frames before ``kept`` and give the others back: 1 when done, 0 when later claims exist."""
    block = peek(handle + w.BLOCK)
    claims = load(block + w.CLAIMS)
    ticket = ticket_at(handle, claims, start)
    if ticket < 0:
        return w.LOST
    if peek(handle + w.FLAGS) != 0:
        _mark_filled(handle, block, start, kept, kept)
    lose_overwritten(block, peek(handle + w.DATA_SLOTS))
    done = give_back(peek(handle + w.SEQUENCER), claims, ticket, peek(handle + w.OWNER), kept)
    if done == 1:
        count_span(handle, kept - start)
        wake(block, w.DATA_EVENT)
    return done


@jit
def next_counter(handle: int, count: int) -> int:
    """Take ``count`` consecutive event counters; the first."""
    return add(peek(handle + w.BLOCK) + w.COUNTER, count)


@jit
def describe_events(handle: int, start: int, end: int, counter: int, timestamp_ns: int, deadtime: float) -> None:
    """Write the metadata of events; a negative counter takes the next ones, else it counts up from it."""
    if counter < 0:
        counter = next_counter(handle, end - start)
    slots = peek(handle + w.EVENT_SLOTS)
    for frame in range(start, end):
        offset = 8 * (frame % slots)
        poke(peek(handle + w.EVENTS) + offset, counter + frame - start)
        poke(peek(handle + w.TIMESTAMPS) + offset, timestamp_ns)
        poke_f64(peek(handle + w.DEADTIMES) + offset, deadtime)


@jit
def commit_event(handle: int, start: int, counter: int, timestamp_ns: int, deadtime: float) -> int:
    """Describe and publish one event in one step."""
    if ticket_at(handle, load(peek(handle + w.BLOCK) + w.CLAIMS), start) < 0:
        return w.LOST
    describe_events(handle, start, start + 1, counter, timestamp_ns, deadtime)
    return commit(handle, start, start + 1)
