"""Who uses a ring: writers, readers and observers, each with a place in the ring's table and a handle.

The table is what others see of them: pid and start time (so that the dead are found), what they are, and
their counters. The number of the place is the owner in claim records.
"""

import logging
import os
import threading
import time
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from labdaq.errors import BusyError, ClosedError, LabdaqError, SpanError, WaitTimeoutError
from labdaq.native.futex import HAS_FUTEX
from labdaq.native.process import Identity, is_alive, is_exiting, this_process
from labdaq.ring import words as w
from labdaq.ring.control import Control, swap
from labdaq.ring.sequencer import owner_of, record_address, state_of

if TYPE_CHECKING:
    from labdaq.ring.core import RingCore
    from labdaq.ring.memory import Memory

__all__ = ["ROLE_NAMES", "Participant", "Place", "close_all", "enrol", "places"]

ROLE_NAMES = {
    w.ATTACHED: "attached",
    w.WRITER: "writer",
    w.EXCLUSIVE_WRITER: "sequence writer",
    w.READER: "reader",
    w.SEQUENCE_READER: "sequence reader",
    w.OBSERVER: "observer",
}
SLICE_S = 0.05
SLICE_NS = int(1e9 * SLICE_S)  # who may wait for ever asks for this much at once: awake, nothing is left to do
_IN_USE = w.IN_USE >> 3

logger = logging.getLogger("labdaq.ring")


class Place:
    """One place of the table of participants."""

    def __init__(self, control: Control, number: int) -> None:
        self.number = number
        self._control = control
        self.address = control.address + control[w.PARTICIPANTS] + (number - 1) * w.PARTICIPANT_NBYTES

    def __getitem__(self, offset: int) -> int:
        return self._control.at(self.address + offset)

    def __setitem__(self, offset: int, value: int) -> None:
        self._control.put(self.address + offset, value)

    @property
    def identity(self) -> Identity:
        """The process which took this place."""
        return Identity(self[w.P_PID], self[w.P_STARTED])

    @property
    def is_taken(self) -> bool:
        """Whether somebody has, or had and did not tidy up, this place."""
        return self[w.P_STATE] != w.P_FREE

    @property
    def is_lost(self) -> bool:
        """Whether its owner is gone without having left."""
        state = self[w.P_STATE]
        return state == w.P_LEFT or (state == w.P_LIVE and not is_alive(self.identity))

    @property
    def label(self) -> str:
        """Who this is, for people: what it does, its name if it has one, and its process."""
        name = self._control.read_text(self.address + w.P_LABEL)
        role = ROLE_NAMES.get(self[w.P_ROLE], "unknown")
        where = "this process" if self[w.P_PID] == os.getpid() else f"process {self[w.P_PID]}"
        return f"{role} {name!r} in {where}" if name else f"{role} in {where}"

    def free(self) -> None:
        """Give the place to the next one."""
        self[w.P_STATE] = w.P_FREE


def places(control: Control) -> list[Place]:
    """All places that are taken."""
    found = (Place(control, number) for number in range(1, control[w.PARTICIPANTS_USED] + 1))
    return [place for place in found if place.is_taken]


def lost_places(control: Control) -> list[Place]:
    """Places whose owners are gone without having left; each process is looked at once.

    Without the lock, places may change hands meanwhile: then this is a hint, to be looked at again.
    """
    taken = [(place, place.identity) for place in places(control)]
    alive = {identity: is_alive(identity) for identity in {identity for _, identity in taken}}
    return [place for place, identity in taken if place[w.P_STATE] == w.P_LEFT or not alive[identity]]


def enrol(control: Control, role: int, group: int, label: str) -> Place:
    """Take a free place. The ring must be locked.

    Raises
    ------
    BusyError
        When all are taken.
    """
    for number in range(1, w.PARTICIPANT_SLOTS + 1):
        place = Place(control, number)
        if not place.is_taken:
            break
    else:
        raise BusyError(
            f"a ring has places for {w.PARTICIPANT_SLOTS} readers, writers and observers, and all are "
            "taken: close those that are no longer used (`labdaq stat` shows them)"
        )
    for offset in range(0, w.P_LABEL, 8):
        place[offset] = 0
    place[w.P_ROLE], place[w.P_GROUP], place[w.P_SINCE_NS] = role, group, time.time_ns()
    place[w.P_PID], place[w.P_STARTED] = this_process()
    place[w.P_THREAD] = threading.get_native_id()
    control.write_text(place.address + w.P_LABEL, label)
    control[w.PARTICIPANTS_USED] = max(control[w.PARTICIPANTS_USED], number)
    place[w.P_STATE] = w.P_LIVE
    return place


def _default_spin_ns() -> int:
    """10 us; none where there is nobody to spin for."""
    affinity = getattr(os, "sched_getaffinity", None)
    cpus = len(affinity(0)) if affinity else os.cpu_count() or 1
    return 10_000 if cpus > 1 else 0


class Participant:
    """What writers, readers and observers share: a place, a handle, waiting, and leaving.

    Used by one thread at a time; each thread makes its own.
    """

    _role = w.OBSERVER
    _is_dismissed = True
    _memory: "Memory"
    _needs_memory = True  # else the ring may be sized after it is made

    def __init__(self, core: "RingCore", *, sequencer: int = 0, label: str = "") -> None:
        self._core = core
        self._label = label
        self._sequencer = sequencer
        self._closed = True
        self._words = np.zeros(w.HANDLE_NBYTES // 8, np.int64)
        self._handle = self._words.data
        self._address = int(self._words.ctypes.data)
        self._handle[w.SPIN_NS >> 3] = _default_spin_ns()
        with core.control.locked():
            try:
                self._take_place()
            except BaseException:  # nobody would ever leave for it
                if hasattr(self, "_place"):
                    self._place.free()
                raise
        self._closed = self._is_dismissed = False
        _PARTICIPANTS.add(self)

    def _take_place(self) -> None:
        control = self._core.control
        group = self._sequencer - control.address if self._sequencer else 0
        self._pid = os.getpid()
        self._place = enrol(control, self._role, group, self._label or threading.current_thread().name)
        handle = self._handle
        handle[w.BLOCK >> 3] = control.address
        handle[w.SEQUENCER >> 3] = self._sequencer
        handle[w.OWNER >> 3] = self._place.number
        handle[w.PARTICIPANT >> 3] = self._place.address
        handle[w.LIMIT_EPOCH >> 3] = handle[w.ADOPTED >> 3] = handle[w.START >> 3] = -1
        handle[_IN_USE] = 0
        self._is_mapped = False
        if self._needs_memory or self._core.has_memory:
            self._remap()

    def _note_thread(self) -> None:
        """Whose spans these are from now on: a resize by the same thread would wait for itself."""
        self._place[w.P_THREAD] = threading.get_native_id()

    def _remap(self) -> None:
        """Look at the ring's memory of today; after a resize it is elsewhere."""
        memory = self._core.current_memory()
        self._memory = memory if memory.uses is None else self._my_own(memory)
        self._is_mapped = True
        self._memory.fill_handle(self._handle)

    def _my_own(self, memory: "Memory") -> "Memory":
        mine: Memory | None = getattr(self, "_memory", None)
        if mine is not None and mine.generation == memory.generation:
            return mine
        if mine is not None and mine.uses is not None:
            mine.uses.end_all()
        return memory.of_participant(holds=self._role != w.OBSERVER)

    # ------------------------------------------------------------------------------------- waiting

    @property
    def spin_s(self) -> float:
        """How long one that has to wait looks again and again before it sleeps; may be set at any time.

        To be woken takes about 10 us, and its waker as long. Who spins is spared both, and burns a core
        meanwhile: worth it on a core of its own, for a reader that must be quick. 10 us unless set, 0 on a
        machine of one core.
        """
        return self._handle[w.SPIN_NS >> 3] / 1e9

    @spin_s.setter
    def spin_s(self, seconds: float) -> None:
        if not 0 <= seconds <= 3600:
            raise SpanError(f"spin_s is {seconds}; it is a time in seconds, from 0 to 3600")
        self._handle[w.SPIN_NS >> 3] = int(1e9 * seconds)

    def _wait(self, step: Callable[..., int], arguments: tuple[Any, ...], timeout: float | None, what: str) -> int:
        """Repeat a compiled step in short sleeps until it succeeds or its ring is over.

        Returns what the step returned: >= 0, or OVER.

        Raises
        ------
        WaitTimeoutError, BusyError, ClosedError, SpanError
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        pause_s = 50e-6
        while True:
            self._check_usable()
            left = SLICE_S if deadline is None else min(SLICE_S, max(deadline - time.monotonic(), 0.0))
            result = step(self._address, *arguments, int(left * 1e9))
            if result >= 0 or result == w.OVER:
                return result
            if result == w.MOVED:
                self._remap()
                continue
            if result == w.FULL and not self._is_in_the_way():
                time.sleep(min(left, 1e-3))
            elif result not in (w.AGAIN, w.INTERRUPT):
                self._refuse(result, what)
            if deadline is not None and time.monotonic() >= deadline:
                raise WaitTimeoutError(f"{what} was not possible within {timeout:g} s: {self._reason()}")
            if self._core.look_after():
                continue
            self._check_deadlock()
            if not HAS_FUTEX:
                time.sleep(pause_s)
                pause_s = min(2 * pause_s, 1e-3)

    def _reason(self) -> str:
        """Why this one has to wait, for the message of a time-out."""
        return "nothing happened"

    def _check_deadlock(self) -> None:
        """Raise when this wait can never end."""

    def _refuse(self, code: int, what: str) -> None:
        if code == w.BUSY and self._pid != os.getpid():
            self._rebind()
            return
        self._check_usable()  # one that was closed meanwhile has no owner's number, and is BUSY for ever
        label = self._place.label
        errors: dict[int, LabdaqError] = {
            w.BUSY: BusyError(f"{label} is being used by another thread: give each thread its own"),
            w.FULL: SpanError(f"{what}: {w.CLAIM_SLOTS - 1} spans were begun behind one that is still open: finish it"),
            w.EXHAUSTED: SpanError(f"{what}: frame numbers have come to {w.HORIZON}; make a new ring"),
        }
        raise errors.get(code, SpanError(f"{what} failed with code {code}"))

    def _is_in_the_way(self) -> bool:
        """Whether the oldest unfinished claim is this one's own, so that waiting would not help."""
        control = self._core.control
        oldest = control.at(self._sequencer + w.DONE)
        word = control.at(record_address(self._sequencer, w.CLAIM_SLOTS, oldest))
        return state_of(word) == w.CLAIMED and owner_of(word) == self._place.number

    def _check_usable(self) -> None:
        if self._closed:
            raise ClosedError(f"this {ROLE_NAMES[self._role]} of ring {self._core.name!r} was closed")
        self._core.check_open()

    def _rebind(self) -> None:
        """In a forked child: become a participant of one's own; what was open belongs to the parent."""
        self._core.rebind_after_fork()
        with self._core.control.locked():
            self._take_place()

    def _after_fork(self) -> None:
        """In the child: what was open is the parent's, and stays with it."""
        self._disarm()

    def _disarm(self) -> None:
        """Without an owner's number no span can be finished any more, and every step says BUSY."""
        self._handle[w.OWNER >> 3] = 0
        self._handle[_IN_USE] = 1

    # ------------------------------------------------------------------------------------- leaving

    def close(self) -> None:
        """Leave the ring. What was open is voided (writers) or given back (readers). Twice is allowed."""
        if self._closed and self._is_dismissed:
            return
        self._closed = True
        if self._pid == os.getpid():
            self._stop_steps()
            self._disarm()
            memory = getattr(self, "_memory", None)  # where the ring was never sized, there is none
            if memory is not None and memory.uses is not None:
                memory.uses.end_all()
            self._core.dismiss(self._place)
        self._is_dismissed = True  # last: a close that was interrupted can be repeated

    def _stop_steps(self) -> None:
        """Let a step that another thread is in come to its end, and none begin after it.

        A step that claimed later would do so in the name of a place which is somebody else's by then.
        """
        self._core.control.wake_all()
        deadline = time.monotonic() + 4 * SLICE_S  # longer than a step sleeps; then a thread was interrupted in it
        while not swap(self._address + w.IN_USE, 0, 1) and time.monotonic() < deadline:
            time.sleep(1e-3)

    def __enter__(self) -> Any:
        return self

    def __exit__(self, kind: object, *_exception: object) -> None:
        self.close()

    def __del__(self) -> None:
        # No lock may be taken here: only a note, which the next one who looks acts upon. At interpreter
        # exit even that is left to those who find this process dead.
        if getattr(self, "_is_dismissed", True) or is_exiting():
            return
        if self._pid == os.getpid():
            self._place[w.P_STATE] = w.P_LEFT


_PARTICIPANTS: "weakref.WeakSet[Participant]" = weakref.WeakSet()


def close_all(core: "RingCore") -> None:
    """Close every writer, reader and observer that this process has of a ring."""
    for participant in list(_PARTICIPANTS):
        if participant._core is core:
            participant.close()


def _after_fork() -> None:
    for participant in list(_PARTICIPANTS):
        participant._after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
