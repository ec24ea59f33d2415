"""Tickets for consecutive stretches of frames: claimed by one compare-and-swap, finished in order.

Writers share one sequencer, the members of a reader group another. A claim of n frames takes ticket t,
and the record of t becomes, in one word::

    end of the claim (52 bits) | owner (10 bits) | state (2 bits)

Its start is the end of record t-1, so it is never stored, and no claim can be half written: a process
killed at any moment leaves either no claim or one with a name on it.

Invariants
----------
* Record t is a claim if t < HEAD, or if t == HEAD and its end lies after that of t-1: HEAD may lag by
  one, and anyone who meets such a record helps HEAD on. Only finished records are reused.
* FRONTIER is the end of the longest finished prefix; it moves only when claims finish, by anyone.
* Ends are kept modulo 2**52 and compared by their difference, so only HORIZON (2**62) limits the count.
* A *frozen* record at HEAD keeps anyone from claiming, and breaks the swaps of those about to.
"""

from labdaq.native import inlined, jit
from labdaq.native.atomics import compare_and_swap, load, peek, poke
from labdaq.native.clocks import coarse_ns
from labdaq.native.faults import fault_point
from labdaq.ring import words as w

_HIGH_BITS = 64 - w.END_BITS


@inlined
def record(end: int, owner: int, state: int) -> int:
    """The word of a claim."""
    return (end & w.END_MASK) | (owner << w.END_BITS) | (state << 62)


@inlined
def state_of(word: int) -> int:
    """FINISHED, CLAIMED, ORPHANED or FROZEN."""
    return (word >> 62) & 3


@inlined
def owner_of(word: int) -> int:
    """The participant who holds the claim."""
    return (word >> w.END_BITS) & w.OWNER_MASK


@inlined
def distance(later: int, earlier: int) -> int:
    """From one end to another, where either may have passed 2**52 (upper bits are ignored)."""
    return ((later - earlier) << _HIGH_BITS) >> _HIGH_BITS


@inlined
def record_address(sequencer: int, claims: int, ticket: int) -> int:
    """Where the record of a ticket stands."""
    return sequencer + w.RECORDS + 8 * (ticket & (claims - 1))


@inlined
def stamp_address(sequencer: int, claims: int, ticket: int) -> int:
    """Where the time of a claim stands (coarse monotonic clock, ns)."""
    return sequencer + w.RECORDS + 8 * claims + 8 * (ticket & (claims - 1))


@inlined
def full_end(sequencer: int, word: int) -> int:
    """The 64-bit end of a record that is not reused: near the frontier, so its upper bits are known."""
    frontier = load(sequencer + w.FRONTIER)
    return frontier + distance(word, frontier)


@inlined
def next_ticket(sequencer: int, claims: int) -> int:
    """The ticket that the next claim will take, after helping HEAD on."""
    while True:
        ticket = load(sequencer + w.HEAD)
        before = load(record_address(sequencer, claims, ticket - 1))
        word = load(record_address(sequencer, claims, ticket))
        if load(sequencer + w.HEAD) != ticket:
            continue
        if distance(word, before) <= 0:
            return ticket
        compare_and_swap(sequencer + w.HEAD, ticket, ticket + 1)


@inlined
def claimed_end(sequencer: int, claims: int) -> int:
    """The end of the newest claim, finished or not."""
    ticket = next_ticket(sequencer, claims)
    return full_end(sequencer, load(record_address(sequencer, claims, ticket - 1)))


@inlined
def claim(
    sequencer: int,
    claims: int,
    owner: int,
    limit: int,
    least: int,
    most: int,
    epoch_address: int,
    epoch: int,
    handle: int,
) -> int:
    """Claim between ``least`` and ``most`` frames that end at ``limit`` or before.

    Returns the first frame, and leaves TICKET, START and END in the handle; or AGAIN, FULL, EXHAUSTED,
    or STALE when the word at ``epoch_address`` is not ``epoch`` (then ``limit`` must be worked out anew).
    """
    while True:
        ticket = load(sequencer + w.HEAD)
        before = load(record_address(sequencer, claims, ticket - 1))
        address = record_address(sequencer, claims, ticket)
        word = load(address)
        if load(sequencer + w.HEAD) != ticket:
            continue
        if distance(word, before) > 0:  # claimed by one who has not moved HEAD yet
            compare_and_swap(sequencer + w.HEAD, ticket, ticket + 1)
            continue
        if state_of(word) == w.FROZEN:
            return w.AGAIN
        # Looked at after the record: who changes the epoch freezes this record before, so either we see
        # the new epoch here or our swap below fails.
        if load(epoch_address) != epoch:
            return w.STALE
        if ticket - claims + 1 >= load(sequencer + w.DONE):
            return w.FULL
        start = full_end(sequencer, before)
        count = min(most, limit - start)
        if count < least:
            return w.AGAIN
        if start + count > w.HORIZON:
            return w.EXHAUSTED
        if compare_and_swap(address, word, record(start + count, owner, w.CLAIMED)):
            fault_point()
            poke(stamp_address(sequencer, claims, ticket), coarse_ns())
            compare_and_swap(sequencer + w.HEAD, ticket, ticket + 1)
            fault_point()
            poke(handle + w.TICKET, ticket)
            poke(handle + w.START, start)
            poke(handle + w.END, start + count)
            return start


@inlined
def advance(sequencer: int, claims: int) -> int:
    """Move the frontier over finished claims; 1 when it moved. Anyone may call this at any time."""
    moved = 0
    while True:
        ticket = load(sequencer + w.DONE)
        if ticket >= load(sequencer + w.HEAD):  # who claimed beyond has not finished, or advances itself
            return moved
        word = load(record_address(sequencer, claims, ticket))
        frontier = load(sequencer + w.FRONTIER)
        if load(sequencer + w.DONE) != ticket:
            continue
        if state_of(word) != w.FINISHED:
            return moved
        # the frontier first: whoever sees DONE beyond a ticket may reuse its record
        step = distance(word, frontier)
        if step > 0:  # where the swap fails, another has moved it over this ticket
            compare_and_swap(sequencer + w.FRONTIER, frontier, frontier + step)
            fault_point()
        compare_and_swap(sequencer + w.DONE, ticket, ticket + 1)
        fault_point()
        moved = 1


@inlined
def finish(sequencer: int, claims: int, ticket: int, owner: int) -> int:
    """End a claim of one's own: 1 when the frontier moved, 0 when not, LOST when somebody took it over."""
    address = record_address(sequencer, claims, ticket)
    word = load(address)
    if state_of(word) != w.CLAIMED or owner_of(word) != owner:
        return w.LOST
    if not compare_and_swap(address, word, record(word, owner, w.FINISHED)):
        return w.LOST
    fault_point()
    return advance(sequencer, claims)


@jit
def give_back(sequencer: int, claims: int, ticket: int, owner: int, end: int) -> int:
    """Finish a claim at an earlier end, so that the frames behind it can be claimed again.

    Only for a sequencer with one owner, and only where nothing was kept behind this claim: 1 when done,
    0 when later claims exist, LOST as in :func:`finish`.
    """
    address = record_address(sequencer, claims, ticket)
    word = load(address)
    if state_of(word) != w.CLAIMED or owner_of(word) != owner:
        return w.LOST
    head = next_ticket(sequencer, claims)
    for later in range(ticket + 1, head):
        if distance(load(record_address(sequencer, claims, later)), word) != 0:
            return 0
    # Later claims are empty and wait for this one, so nobody passes them while they are set back.
    for later in range(head - 1, ticket, -1):
        poke(record_address(sequencer, claims, later), record(end, owner, w.FINISHED))
        fault_point()
    if not compare_and_swap(address, word, record(end, owner, w.FINISHED)):
        return w.LOST
    fault_point()
    advance(sequencer, claims)
    return 1


@jit
def freeze(sequencer: int, claims: int) -> int:
    """Keep anyone from claiming until :func:`unfreeze`; the ticket that is frozen.

    The owner bits of a record that nobody has claimed yet count its freezes, so a swap that began before
    one fails after it too, although the record is free again.
    """
    while True:
        ticket = next_ticket(sequencer, claims)
        address = record_address(sequencer, claims, ticket)
        word = load(address)
        if load(sequencer + w.HEAD) != ticket:
            continue
        if compare_and_swap(address, word, record(word, (owner_of(word) + 1) & w.OWNER_MASK, w.FROZEN)):
            fault_point()
            return ticket


@jit
def unfreeze(sequencer: int, claims: int) -> int:
    """Let claims go on; 1 when they were frozen."""
    address = record_address(sequencer, claims, next_ticket(sequencer, claims))
    word = load(address)
    if state_of(word) != w.FROZEN:
        return 0
    return compare_and_swap(address, word, record(word, owner_of(word), w.FINISHED))


@jit
def orphan(sequencer: int, claims: int, ticket: int, owner: int) -> int:
    """Give up a claim so that another member may :func:`adopt` it; the number of its frames, 0 if not held."""
    address = record_address(sequencer, claims, ticket)
    word = load(address)
    if state_of(word) != w.CLAIMED or owner_of(word) != owner:
        return 0
    count = distance(word, load(record_address(sequencer, claims, ticket - 1)))
    swapped = compare_and_swap(address, word, record(word, owner, w.ORPHANED))
    fault_point()
    return count if swapped else 0


@jit
def adopt(sequencer: int, claims: int, owner: int, handle: int) -> int:
    """Take over the oldest claim that was given up: its first frame, or AGAIN.

    ORPHANS is not a count, which a killed process could leave wrong, but a mark that is new whenever
    claims are given up. Whoever looks and finds none takes away the mark it saw, and no newer one.
    """
    mark = load(sequencer + w.ORPHANS)
    head = next_ticket(sequencer, claims)
    for ticket in range(load(sequencer + w.DONE), head):
        address = record_address(sequencer, claims, ticket)
        word = load(address)
        before = load(record_address(sequencer, claims, ticket - 1))
        if state_of(word) == w.ORPHANED and compare_and_swap(address, word, record(word, owner, w.CLAIMED)):
            fault_point()
            poke(stamp_address(sequencer, claims, ticket), coarse_ns())
            end = full_end(sequencer, word)
            poke(handle + w.TICKET, ticket)
            poke(handle + w.START, end - distance(word, before))
            poke(handle + w.END, end)
            return end - distance(word, before)
    compare_and_swap(sequencer + w.ORPHANS, mark, 0)
    return w.AGAIN


@inlined
def ticket_at(handle: int, claims: int, start: int) -> int:
    """The ticket of the open claim of this handle that begins at a frame, -1 for none.

    Asked of the records themselves: the claim may have been taken away, and its ticket reused.
    """
    sequencer, owner = peek(handle + w.SEQUENCER), peek(handle + w.OWNER)
    ticket = peek(handle + w.TICKET)  # the newest one, which it nearly always is
    if ticket >= load(sequencer + w.DONE) and start_of(sequencer, claims, ticket) == start:
        word = load(record_address(sequencer, claims, ticket))
        if state_of(word) == w.CLAIMED and owner_of(word) == owner:
            return ticket
    ticket = find_claim(sequencer, claims, owner, 0)
    while ticket >= 0 and start_of(sequencer, claims, ticket) != start:
        ticket = find_claim(sequencer, claims, owner, ticket + 1)
    return ticket


@jit
def find_claim(sequencer: int, claims: int, owner: int, after: int) -> int:
    """The first ticket >= ``after`` that this participant holds, or -1."""
    head = next_ticket(sequencer, claims)
    for ticket in range(max(after, load(sequencer + w.DONE)), head):
        word = load(record_address(sequencer, claims, ticket))
        if state_of(word) == w.CLAIMED and owner_of(word) == owner:
            return ticket
    return -1


@jit
def orphaned_frames(sequencer: int, claims: int) -> int:
    """Frames in claims that wait to be adopted."""
    frames = 0
    for ticket in range(load(sequencer + w.DONE), next_ticket(sequencer, claims)):
        word = load(record_address(sequencer, claims, ticket))
        if state_of(word) == w.ORPHANED:
            frames += distance(word, load(record_address(sequencer, claims, ticket - 1)))
    return frames


@jit
def reset(sequencer: int, claims: int, frame: int) -> None:
    """Start a sequencer that nobody uses at a frame."""
    for i in range(claims):
        poke(sequencer + w.RECORDS + 8 * i, record(frame, 0, w.FINISHED))
        poke(sequencer + w.RECORDS + 8 * (claims + i), 0)
    poke(sequencer + w.FRONTIER, frame)
    poke(sequencer + w.ORPHANS, 0)
    poke(sequencer + w.HEAD, claims)
    poke(sequencer + w.DONE, claims)


@jit
def start_of(sequencer: int, claims: int, ticket: int) -> int:
    """The first frame of a claim that is not finished."""
    return full_end(sequencer, load(record_address(sequencer, claims, ticket - 1)))


@jit
def end_of(sequencer: int, claims: int, ticket: int) -> int:
    """The end of a claim that is not finished."""
    return full_end(sequencer, load(record_address(sequencer, claims, ticket)))
