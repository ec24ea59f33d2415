"""What all who use one ring in one process share: its control block, its memory, its life.

The public face is :class:`labdaq.Ring`; this is what stands behind it and behind its readers and writers.
"""

import logging
import multiprocessing.util
import os
import threading
import time
import weakref
from typing import Any

import numpy as np

from labdaq.errors import ClosedError, LayoutError, SpanError, WaitTimeoutError
from labdaq.native.faults import fault_point
from labdaq.ring import groups, recovery
from labdaq.ring import words as w
from labdaq.ring.control import Control, block_nbytes, end_of_claims, increase
from labdaq.ring.layout import DATA, FLAGS_PLANE, Layout, standard_planes
from labdaq.ring.memory import Memory
from labdaq.ring.participants import Place, close_all, enrol, lost_places, places
from labdaq.ring.sequencer import freeze, owner_of, record_address, state_of
from labdaq.ring.spaces import MemorySpace, space_named
from labdaq.ring.statistics import oldest_claim

__all__ = ["ClosedCore", "Frame", "RingCore"]

logger = logging.getLogger("labdaq.ring")

Frame = tuple[np.dtype[Any], tuple[int, ...]]
STALL_S = 1.0
_LOOK_EVERY_S = 0.04


class RingCore:
    """One ring, as this process has it."""

    def __init__(self, space: MemorySpace, token: str, control: Control, name: str) -> None:
        self.space = space
        self.token = token
        self.control = control
        self.name = name
        self.pid = os.getpid()
        self._memory: Memory | None = None
        self._closed = False
        self._looked_at = 0.0
        self._stalled = -1
        self._stuck: dict[int, tuple[tuple[int, int], tuple[int, int]]] = {}
        self._remapping = threading.Lock()
        control.on_repair = self._repair
        self._attach_place()

    @classmethod
    def create(cls, name: str, space: str, frame: Frame | None, *, is_events: bool, first_frame: int = 0) -> "RingCore":
        """A new ring without data memory yet."""
        where = space_named(space)
        token, mapping = where.new_block(block_nbytes())
        is_typed = frame is not None
        control = Control.create(
            mapping, token, is_private=where.is_private, is_typed=is_typed, first_frame=first_frame
        )
        core = cls(where, token, control, name)
        core.frame = frame if frame is not None else (np.dtype("u1"), ())
        core.is_events = is_events
        return core

    @classmethod
    def attach(cls, space: str, token: str, name: str) -> "RingCore":
        """A ring that another process made."""
        where = space_named(space)
        control = Control.attach(where.open_block(token), token)
        core = cls(where, token, control, name)
        if not where.is_there(token):  # its last user closed it after we had opened the block
            core.close()
            raise ClosedError(f"ring {name!r} is gone: its last user closed it")
        with control.locked():  # nobody resizes meanwhile
            layout = core._read_layout()
        core.is_events = layout is not None and "counter" in layout.by_name
        data = layout.by_name[DATA] if layout is not None else None
        core.frame = (data.dtype, data.shape) if data is not None else (np.dtype("u1"), ())
        return core

    frame: Frame
    is_events: bool

    @property
    def is_typed(self) -> bool:
        """Whether frames have a dtype of their own."""
        return bool(self.control[w.IS_TYPED])

    @property
    def frame_nbytes(self) -> int:
        """Size of one frame of the ring."""
        return self.frame[0].itemsize * int(np.prod(self.frame[1], dtype=np.int64))

    # -------------------------------------------------------------------------------------- life

    def _attach_place(self) -> None:
        with self.control.locked():
            self._place = enrol(self.control, w.ATTACHED, 0, self.name)
        self._finalizer = weakref.finalize(
            self, _detach, self.control, self.space, self.token, self._place, os.getpid()
        )
        if multiprocessing.parent_process() is not None:  # such children leave without Python's own last rites
            multiprocessing.util.Finalize(self, self._finalizer, exitpriority=0)

    def check_open(self) -> None:
        """Raise unless this process may use the ring."""
        if self._closed:
            raise ClosedError(f"ring {self.name!r} was closed")
        if self.pid != os.getpid():
            self.rebind_after_fork()

    def rebind_after_fork(self) -> None:
        """In a forked child: attach on one's own account.

        Raises
        ------
        ClosedError
            For a ring of this process only: its memory would be that of the parent.
        """
        if self.pid == os.getpid():
            return
        if self.space.is_private:
            raise ClosedError(
                f"ring {self.name!r} of space {self.space.name!r} belongs to process {self.pid}, from which this "
                "one was forked: make it with space='shared' to use it in several processes"
            )
        self.pid = os.getpid()
        self._finalizer.detach()
        self._attach_place()

    def close(self) -> None:
        """Detach. The last process to do so removes the memory."""
        if not self._closed:
            self._closed = True
            close_all(self)
            self.control.wake_all()
            self._finalizer()

    @property
    def is_closed(self) -> bool:
        """Whether this process has closed it."""
        return self._closed

    def end(self, *, ended: bool = True) -> None:
        """Let writing end, or (``ended=False``) begin again."""
        control = self.control
        with control.locked():
            if bool(control[w.STATE]) == ended:
                return
            freeze(control.writers, w.CLAIM_SLOTS)
            control[w.STATE] = w.ENDED if ended else w.OPEN
            control.new_epoch()
            control.unfreeze(control.writers)

    def _repair(self) -> None:
        """After one died while changing the ring: make the block agree with its layout."""
        layout = self._read_layout()
        if layout is not None:
            self.control[w.CAPACITY] = layout.capacity
            self.control.new_epoch()
        recovery.recover(self)

    def dismiss(self, place: Place) -> None:
        """Let a participant of this process go, with all that it holds."""
        with self.control.locked():
            if place.is_taken:
                recovery.settle(self, place)

    def look_after(self) -> bool:
        """Settle the dead and name claims that are old; True when somebody was settled.

        Called by those who wait, so nothing runs when nobody does.
        """
        now = time.monotonic()
        if now - self._looked_at < _LOOK_EVERY_S:
            return False
        self._looked_at = now
        self._warn_of_stalls()
        return self.recover() > 0

    def recover(self) -> int:
        """Settle the dead now; how many there were."""
        if not lost_places(self.control):
            return 0
        with self.control.locked():
            return recovery.recover(self)

    def _warn_of_stalls(self) -> None:
        oldest = oldest_claim(self.control, self.control.writers)
        if oldest is None:
            return
        ticket, owner, age_s = oldest
        is_in_the_way = self.control.at(self.control.writers + w.HEAD) > ticket + 1  # others have claimed behind it
        if is_in_the_way and age_s > STALL_S and ticket != self._stalled:
            self._stalled = ticket
            logger.warning(
                "ring %r: the %s has held frames for %.1f s without committing; everything behind them waits",
                self.name,
                Place(self.control, owner).label,
                age_s,
            )

    def count_voided(self, frames: int) -> None:
        """Frames that were claimed and never filled."""
        increase(self.control.address + w.VOIDED, frames)

    def who_holds(self) -> str:
        """Why there is no room, for people: which groups are behind, and who holds what."""
        control = self.control
        newest = end_of_claims(control.writers)
        reasons = []
        for group in groups.live(control):
            behind = newest - control.at(group + w.FRONTIER)
            if behind >= control[w.CAPACITY] // 2:
                name = groups.name_of(control, group)
                who = ", ".join(sorted({place.label for place in self.holders(group)}))
                members = groups.members(control, group)
                what = f"held by {who}" if who else "not being read" if members else "nobody reads it"
                reasons.append(f"group {name!r} is {behind} frames behind ({what})")
        writing = ", ".join(sorted({place.label for place in self.holders(control.writers)}))
        if writing:
            reasons.append(f"frames are reserved and not committed by {writing}")
        return "; ".join(reasons) or "all frames are in use"

    def check_deadlock(self, group: int, wanted: int) -> None:
        """Raise when a reader waits for frames that the writers cannot write before it reads.

        Called between sleeps. Writers may be about to commit: the state must last for a while, and those who
        hold frames must have spent it waiting (by their own count: who looks may wake when they wake).
        """
        control = self.control
        frontier = control.at(control.writers + w.FRONTIER)
        reserved = end_of_claims(control.writers) - frontier
        writing = self.holders(control.writers)
        if not writing or self.holders(group) or wanted + reserved <= control[w.CAPACITY]:
            self._stuck.pop(group, None)
            return
        state = (frontier, reserved)
        seen = (time.monotonic_ns(), sum(place[w.P_WAIT_NS] for place in writing))
        before, since = self._stuck.setdefault(group, (state, seen))
        lasted_ns, waited_ns = seen[0] - since[0], seen[1] - since[1]
        if before == state and lasted_ns < STALL_S * 5e8:
            return
        self._stuck[group] = (state, seen)
        if before == state and waited_ns > (len(writing) - 0.5) * lasted_ns:
            raise SpanError(
                f"deadlock in ring {self.name!r}: this reader waits for {wanted} frames at once, a writer holds "
                f"{reserved} and waits for more, and the ring has {control[w.CAPACITY]}: read smaller spans, or "
                "resize the ring"
            )

    # ------------------------------------------------------------------------------------ memory

    def _read_layout(self) -> Layout | None:
        generation = self.control[w.GENERATION]
        return self._layout_of(generation) if generation else None

    def _layout_of(self, generation: int) -> Layout:
        text = self.control.read_text(self._layout_address(generation), w.LAYOUT_NBYTES)
        if self.control[w.GENERATION] != generation:  # two resizes on, the text may be that of another
            raise FileNotFoundError(generation)
        return Layout.from_text(text)

    def _layout_address(self, generation: int) -> int:
        return self.control.address + self.control[w.LAYOUTS] + (generation & 1) * w.LAYOUT_NBYTES

    @property
    def has_memory(self) -> bool:
        """Whether the ring was ever sized."""
        return self.control[w.GENERATION] > 0

    def current_memory(self) -> Memory:
        """The data memory of now.

        Raises
        ------
        SpanError
            When the ring was never given any.
        """
        generation = self.control[w.GENERATION]
        memory = self._memory
        if memory is not None and memory.generation == generation:
            return memory
        if generation == 0:
            raise SpanError(f"ring {self.name!r} has no memory yet: call its resize(contiguous, total) first")
        with self._remapping:
            while self._memory is None or self._memory.generation != self.control[w.GENERATION]:
                generation = self.control[w.GENERATION]
                try:
                    backing = self.space.open_data(self.token, generation)
                    self._memory = Memory(generation, self._layout_of(generation), backing)
                except FileNotFoundError:
                    if self.control[w.GENERATION] == generation:
                        raise ClosedError(f"ring {self.name!r} is gone: its last user closed it") from None
                    # else: who resizes removes the old memory at once, and there is newer
            return self._memory

    def resize(
        self,
        contiguous: int,
        total: int,
        nringlet: int = 1,
        *,
        planes: dict[str, tuple[np.dtype[Any], tuple[int, ...], int]] | None = None,
        timeout: float | None = None,
    ) -> None:
        """Replace the data memory, with its contents, while others keep reading and writing.

        Nobody can claim anything while it happens; it begins when no span is open.

        Raises
        ------
        SpanError
            When a span of this thread is open, which would wait for itself.
        WaitTimeoutError
            When others keep their spans for longer than ``timeout`` seconds; names them.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        window_s = 0.02
        while not self._try_resize((contiguous, total, nringlet, planes or {}), deadline, window_s):
            # those who leave with a span open need the lock to let it go
            window_s = min(2 * window_s, 1.0)
            time.sleep(1e-3)

    def _try_resize(
        self, wanted: tuple[int, int, int, dict[str, Any]], deadline: float | None, window_s: float
    ) -> bool:
        """Whether all spans were finished within the window, and the memory replaced."""
        with self.control.locked():
            old = self.current_memory() if self.has_memory else None
            layout = self._plan(old, *wanted)
            frozen = list(self.control.sequencers())
            for sequencer in frozen:
                freeze(sequencer, w.CLAIM_SLOTS)
            try:
                is_quiet = self._await_quiet([self.control.writers, *groups.live(self.control)], deadline, window_s)
                if is_quiet:
                    self._replace(old, layout)
                return is_quiet
            finally:
                for sequencer in frozen:
                    self.control.unfreeze(sequencer)

    def _plan(self, old: Memory | None, contiguous: int, total: int, nringlet: int, extra: dict[str, Any]) -> Layout:
        if nringlet > 1 and self.is_typed:
            raise LayoutError(f"ringlets are for rings of bytes; the frames of ring {self.name!r} have a dtype")
        if old is not None:  # another may have made it larger meanwhile
            contiguous, total = max(contiguous, old.contiguous), max(total, old.capacity)
            nringlet = max(nringlet, old.nringlet)
        wanted = standard_planes(self.is_events, self.is_typed, total)
        if old is not None:
            for name, plane in old.planes.items():
                if name != DATA and name not in wanted:
                    rows = -(-plane.layout.slots * total // old.capacity)
                    wanted[name] = (plane.layout.dtype, plane.layout.shape, rows)
        for name, (dtype, shape, rows) in extra.items():
            known = wanted.get(name)
            if known is not None and known[:2] != (dtype, shape):
                raise LayoutError(
                    f"plane {name!r} of ring {self.name!r} holds {known[0]} of shape {known[1]} per frame, and "
                    f"{dtype} of shape {shape} was asked for: choose another name, or another ring"
                )
            wanted[name] = (dtype, shape, max(rows, known[2] if known else 0))
        can_mirror = self.space.can_mirror
        return Layout.plan(total, contiguous, self.frame, wanted, nringlet=nringlet, can_mirror=can_mirror)

    def _await_quiet(self, sequencers: list[int], deadline: float | None, window_s: float) -> bool:
        until = time.monotonic() + window_s
        while True:
            holders = [h for s in sequencers for h in self.holders(s)]
            if not holders:
                return True
            mine = [h for h in holders if h[w.P_PID] == os.getpid() and h[w.P_THREAD] == threading.get_native_id()]
            if mine:
                raise SpanError(
                    f"ring {self.name!r} cannot be resized while this thread itself has a span open "
                    f"({mine[0].label}): commit or release it first"
                )
            if deadline is not None and time.monotonic() > deadline:
                who = ", ".join(sorted({h.label for h in holders}))
                raise WaitTimeoutError(
                    f"ring {self.name!r} was not resized in the time allowed: spans are still open ({who})"
                )
            if time.monotonic() > until:
                return False
            recovery.recover(self)
            time.sleep(0.0005)

    def holders(self, sequencer: int) -> list[Place]:
        """Those who hold unfinished claims. What a dead reader left behind is held by nobody."""
        control = self.control
        found = []
        for ticket in range(control.at(sequencer + w.DONE), control.at(sequencer + w.HEAD)):
            word = control.at(record_address(sequencer, w.CLAIM_SLOTS, ticket))
            if state_of(word) == w.CLAIMED:
                found.append(Place(control, owner_of(word)))
        return found

    def _replace(self, old: Memory | None, layout: Layout) -> None:
        control = self.control
        generation = control[w.GENERATION] + 1
        text = layout.to_text()
        if len(text.encode()) >= w.LAYOUT_NBYTES:
            raise LayoutError(f"the description of this ring's frames and planes is too long ({len(text)} characters)")
        memory = Memory(generation, layout, self.space.new_data(self.token, generation, layout.nbytes))
        if FLAGS_PLANE in memory.planes:
            memory.planes[FLAGS_PLANE].array[...] = 0
        newest = end_of_claims(control.writers)
        if old is not None:
            self._copy_contents(old, memory, newest)
        control.write_text(self._layout_address(generation), text, w.LAYOUT_NBYTES)
        control[w.KEPT_FROM] = max(control[w.KEPT_FROM], newest - (old.capacity if old else 0))
        fault_point()
        with self._remapping:  # other threads of this process take both or neither
            self._memory = memory
            control[w.GENERATION] = generation  # from here on the new memory is the ring's
        fault_point()
        control[w.CAPACITY] = layout.capacity
        control.new_epoch()
        if old is not None:
            self.space.remove(self.token, old.generation)

    def _copy_contents(self, old: Memory, new: Memory, newest: int) -> None:
        from labdaq.ring import sequence_table

        first = max(self.control[w.KEPT_FROM], newest - min(old.capacity, new.capacity))
        new.data.copy_from(old.data, first, newest)
        for name, plane in new.planes.items():
            if name == DATA or name not in old.planes:
                continue
            if self.is_typed:
                plane.copy_from(old.planes[name], first, newest)
                continue
            for setup in (s for s in sequence_table.snapshots(self.control) if name in s.planes):
                end = sequence_table.end_of(self.control, setup)
                stop = setup.row + -(-((newest if end is None else end) - setup.begin) // setup.frame)
                begin = setup.row + max(0, first - setup.begin) // setup.frame
                plane.copy_from(old.planes[name], max(begin, stop - plane.slots), stop)


class ClosedCore:
    """What is left of a ring that was closed here: its name, and no memory."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.is_closed = True

    def __getattr__(self, attribute: str) -> Any:
        raise ClosedError(f"ring {self.name!r} was closed")


def _detach(control: Control, space: MemorySpace, token: str, place: Place, pid: int) -> None:
    """Leave the table; the last one removes the names. Takes no lock: it may run at any moment."""
    if pid != os.getpid():
        return
    place.free()
    if not any(other[w.P_ROLE] == w.ATTACHED and not other.is_lost for other in places(control)):
        space.remove(token)
