"""What a ring and its users are doing, as numbers, readable from any process without stopping anyone."""

import time
from dataclasses import dataclass

from labdaq.ring import groups
from labdaq.ring import words as w
from labdaq.ring.control import Control, end_of_claims
from labdaq.ring.participants import ROLE_NAMES, Place, lost_places, places
from labdaq.ring.sequencer import orphaned_frames, owner_of, record_address, state_of

__all__ = ["GroupStatistics", "ParticipantStatistics", "RingStatistics", "oldest_claim", "ring_statistics"]


@dataclass(frozen=True)
class ParticipantStatistics:
    """One writer, reader or observer."""

    name: str
    """Its label; by default the name of the thread that made it."""
    role: str
    """What it is: writer, sequence writer, reader, sequence reader, observer."""
    group: str
    """The reader group it belongs to; empty for none, or for a group of its own."""
    pid: int
    """Its process."""
    frames: int
    """Frames it wrote or read to the end. If it stands still while others move, look at `oldest_claim_owner`."""
    spans: int
    """Spans (or single events) it wrote or read. Many small spans cost more than few large ones."""
    lag: int
    """Frames between it and the newest. Near the capacity, it is the one that writers wait for: make it
    faster, give its group more members, or make it an observer."""
    skipped: int
    """Frames an observer never saw. Harmless for displays; for data, read with a guarantee."""
    overwritten: int
    """Frames an observer lost while it copied them (none was handed out). A larger ring helps."""
    missed: int
    """Frames that were gone before it began. Declare the group before writing starts."""
    redelivered: int
    """Frames it took over from a member that died or gave up. Their work may have been done before."""
    waits: int
    """Times it had to sleep. Readers that sleep are fast enough; writers that sleep are held back."""
    waited_s: float
    """How long it slept in all."""


@dataclass(frozen=True)
class GroupStatistics:
    """One reader group."""

    name: str
    """Empty for the group of one reader that was given no name."""
    declared: bool
    """Whether it stays without members. A declared group that nobody reads stops the writers for good."""
    members: int
    """Readers that share its work."""
    frames: int
    """Frames it has finished since it began."""
    lag: int
    """Frames between its oldest unfinished one and the newest. At the capacity, writers wait for it."""
    open_claims: int
    """Spans its members hold now."""
    orphans: int
    """Frames that dead members held, waiting for somebody to take them over. With no members left: add one."""


@dataclass(frozen=True)
class RingStatistics:
    """The state of a ring."""

    name: str
    space: str
    capacity: int
    """Frames. For rings of bytes, a frame is a byte."""
    frame_nbytes: int
    state: str
    """open, or ended: nothing will be written until somebody begins again."""
    frames_written: int
    """Frames committed and filled."""
    frames_read: int
    """Frames that readers finished, over all groups."""
    frames_reserved: int
    """Frames being written now."""
    skipped: int
    """Frames that the observers of now never saw."""
    overwritten: int
    """Frames that the observers of now lost while copying."""
    missed: int
    """Frames that were gone before the readers of now began."""
    voided: int
    """Frames that were reserved and never filled: writers that gave up, raised, or died. A process killed in
    the very act of giving up may leave its last span uncounted."""
    redelivered: int
    """Frames given back by members that died or closed, to be delivered again."""
    undelivered: int
    """Frames that a reader held when its group ended. They were read in part at best."""
    truncated: int
    """Sequences whose writer died or was closed in the middle."""
    recovered: int
    """Participants that died and were cleaned up after. Look into their logs."""
    fill: float
    """0 to 1: how much of the ring the slowest group still needs. At 1 writers wait: see the lags."""
    oldest_claim_age_s: float
    """How long the oldest unfinished write has been open; everything behind it waits. Above 1 s: see owner."""
    oldest_claim_owner: str
    """Who holds it; empty for nobody."""
    written_per_s: float
    """Frames per second since the statistics were last asked for in this process (at first: since it was made)."""
    read_per_s: float
    groups: tuple[GroupStatistics, ...]
    writers: tuple[ParticipantStatistics, ...]
    readers: tuple[ParticipantStatistics, ...]
    """Members of groups, and readers of sequences."""
    observers: tuple[ParticipantStatistics, ...]

    @property
    def lag(self) -> dict[str, int]:
        """Frames that each reader and observer is behind, by name."""
        return {reader.name: reader.lag for reader in (*self.readers, *self.observers)}


def oldest_claim(control: Control, sequencer: int) -> tuple[int, int, float] | None:
    """The oldest unfinished claim: its ticket, its owner, its age in seconds; None when there is none."""
    ticket = control.at(sequencer + w.DONE)
    if ticket >= control.at(sequencer + w.HEAD):
        return None
    word = control.at(record_address(sequencer, w.CLAIM_SLOTS, ticket))
    stamp = control.at(sequencer + w.RECORDS + 8 * (w.CLAIM_SLOTS + ticket % w.CLAIM_SLOTS))
    if state_of(word) != w.CLAIMED or control.at(sequencer + w.DONE) != ticket:
        return None
    age_s = (time.monotonic_ns() - stamp) / 1e9 if stamp else 0.0
    return ticket, owner_of(word), max(age_s, 0.0)


def participant_statistics(control: Control, place: Place, newest: int) -> ParticipantStatistics:
    """The counters of one participant."""
    group = control.address + place[w.P_GROUP] if place[w.P_GROUP] else 0
    role = place[w.P_ROLE]
    if role in (w.READER, w.SEQUENCE_READER):
        lag = newest - control.at(group + w.FRONTIER)
    else:
        lag = newest - place[w.P_CURSOR] if role == w.OBSERVER else 0
    return ParticipantStatistics(
        name=control.read_text(place.address + w.P_LABEL),
        role=ROLE_NAMES[role],
        group=groups.name_of(control, group) if role == w.READER else "",
        pid=place[w.P_PID],
        frames=place[w.P_FRAMES],
        spans=place[w.P_SPANS],
        lag=max(lag, 0),
        skipped=place[w.P_SKIPPED],
        overwritten=place[w.P_OVERWRITTEN],
        missed=place[w.P_MISSED],
        redelivered=place[w.P_REDELIVERED],
        waits=place[w.P_WAITS],
        waited_s=place[w.P_WAIT_NS] / 1e9,
    )


def _group_statistics(control: Control, group: int, newest: int) -> GroupStatistics:
    open_claims = range(control.at(group + w.DONE), control.at(group + w.HEAD))
    return GroupStatistics(
        name=groups.name_of(control, group),
        declared=bool(control.at(group + w.IS_DECLARED)),
        members=groups.members(control, group),
        frames=control.at(group + w.FRONTIER) - control.at(group + w.JOINED_AT),
        lag=newest - control.at(group + w.FRONTIER),
        open_claims=len(open_claims),
        orphans=orphaned_frames(group, w.CLAIM_SLOTS),
    )


class _Looks:
    """What was seen when this process looked at a ring the last time."""

    def __init__(self) -> None:
        self._last: dict[int, tuple[float, int, int]] = {}

    def written(self, control: Control, frontier: int) -> int:
        """Frames that were written, never fewer than the last time.

        Voided frames are counted at once, and the frontier moves when all before them are finished: in between, what
        is left of it is too small.
        """
        before = self._last.get(control[w.CREATED_NS], (0.0, 0, 0))[1]
        return max(frontier - control[w.FIRST_FRAME] - control[w.VOIDED], before)

    def rates(self, control: Control, written: int, read: int) -> tuple[float, float]:
        """Frames per second since the last time, written and read."""
        now = time.monotonic()
        age_s = (time.time_ns() - control[w.CREATED_NS]) / 1e9
        then, wrote, had_read = self._last.get(control[w.CREATED_NS], (now - max(age_s, 1e-9), 0, 0))
        self._last[control[w.CREATED_NS]] = (now, written, read)
        elapsed_s = max(now - then, 1e-9)
        return (written - wrote) / elapsed_s, (read - had_read) / elapsed_s


_LOOKS = _Looks()


def ring_statistics(control: Control, name: str, space: str, frame_nbytes: int) -> RingStatistics:
    """Look at a control block. Nothing is locked: numbers of a running ring are of slightly different moments."""
    newest = end_of_claims(control.writers)
    frontier = control.at(control.writers + w.FRONTIER)
    of_groups = tuple(_group_statistics(control, group, newest) for group in groups.live(control))
    gone = {place.number for place in lost_places(control)}
    everyone = [place for place in places(control) if place.number not in gone]
    taken = {role: [p for p in everyone if p[w.P_ROLE] in roles] for role, roles in _KINDS.items()}
    kinds = {
        kind: tuple(participant_statistics(control, place, newest) for place in found) for kind, found in taken.items()
    }
    watching = (*kinds["readers"], *kinds["observers"])
    written = _LOOKS.written(control, frontier)
    read = sum(group.frames for group in of_groups)
    needed = min([frontier, *(newest - group.lag for group in of_groups)])
    capacity = max(control[w.CAPACITY], 1)
    kept = newest - needed if of_groups else min(newest - control[w.FIRST_FRAME], capacity)
    oldest = oldest_claim(control, control.writers)
    written_per_s, read_per_s = _LOOKS.rates(control, written, read)
    return RingStatistics(
        name=name,
        space=space,
        capacity=control[w.CAPACITY],
        frame_nbytes=frame_nbytes,
        state="ended" if control[w.STATE] == w.ENDED else "open",
        frames_written=written,
        frames_read=read,
        frames_reserved=newest - frontier,
        skipped=sum(one.skipped for one in watching),
        overwritten=sum(one.overwritten for one in watching),
        missed=sum(one.missed for one in watching),
        voided=control[w.VOIDED],
        redelivered=control[w.REDELIVERED],
        undelivered=control[w.UNDELIVERED],
        truncated=control[w.TRUNCATED],
        recovered=control[w.RECOVERED],
        fill=min(max(kept / capacity, 0.0), 1.0),
        oldest_claim_age_s=oldest[2] if oldest else 0.0,
        oldest_claim_owner=Place(control, oldest[1]).label if oldest else "",
        written_per_s=written_per_s,
        read_per_s=read_per_s,
        groups=of_groups,
        writers=kinds["writers"],
        readers=kinds["readers"],
        observers=kinds["observers"],
    )


_KINDS = {
    "writers": (w.WRITER, w.EXCLUSIVE_WRITER),
    "readers": (w.READER, w.SEQUENCE_READER),
    "observers": (w.OBSERVER,),
}
