"""Who works on which slots of a ring's memory, on which stream, and who has to wait for it.

A commit and a release say at once that frames are handed over, while a GPU may still work on them. What makes that
safe are fences: when a participant hands frames over, an event is recorded on each stream on which it took a view of
them; who takes a view next lets its own stream wait for these events. So streams wait for streams, and no thread of
the processor waits at all, except one that wants to look at the data itself (`on_host`).

The rule is that of any shared memory: reading waits for writing, and writing waits for both. Fences are kept by slot,
not by frame: what counts is the memory. The claims of the ring see to it that nobody takes a view of what others have
not handed over yet; who was closed or has died without doing so is treated as if it did so now. Observers look without
a claim: they wait for what was handed over, and change nothing.
"""

import threading
from typing import NamedTuple

from labdaq.native.cuda import Device, Event, Stream

__all__ = ["Fences", "Uses"]

_MANY = 64
_Use = tuple[int, int, bool]  # first slot, end, whether to write


class _Fence(NamedTuple):
    begin: int
    end: int
    is_write: bool
    stream: Stream  # kept, so that no other gets its number while somebody might take the two for one
    event: Event


class Fences:
    """The events by which the participants of one memory wait for each other.

    Parameters
    ----------
    device
        Whose streams they are.
    on_host
        Views are for the processor: who takes one waits until the streams have done their part.
    """

    def __init__(self, device: Device, *, on_host: bool) -> None:
        self.device = device
        self.on_host = on_host
        self.lock = threading.RLock()
        """Of all that is noted here, and by the participants: others close what one has left open."""
        self._fences: list[_Fence] = []
        self._users: set[Uses] = set()

    def enter(self, uses: "Uses") -> None:
        """A participant comes."""
        with self.lock:
            self._users.add(uses)

    def leave(self, uses: "Uses") -> None:
        """It goes, with nothing open."""
        with self.lock:
            self._users.discard(uses)

    def await_slots(self, begin: int, end: int, mine: "Uses", stream: Stream | None, *, writing: bool) -> None:
        """Let a stream, or (None) this thread, wait for all that others do to these slots."""
        with self.lock:
            for user in self._users if mine.holds else ():  # who has claimed nothing may meet one at work
                if user.is_busy and user is not mine:
                    self._fences += user.left_open(begin, end, writing=writing)
            found = [f for f in self._fences if f[0] < end and begin < f[1] and (writing or f[2])]
        for fence in found:
            if stream is None:
                fence.event.synchronize()
            elif fence.stream.ptr != stream.ptr:  # on one stream everything is in order anyway
                self.device.wait(stream, fence.event)

    def add(self, fences: list[_Fence]) -> None:
        """Others have to wait for this from now on."""
        with self.lock:
            for new in fences:
                if new.is_write:  # it has waited for what was there before
                    self._fences = [f for f in self._fences if f[0] < new[0] or f[1] > new[1]]
            self._fences += fences
            if len(self._fences) > _MANY:
                self._fences = [f for f in self._fences if not f.event.done]


class Uses:
    """What one participant does in a memory.

    Parameters
    ----------
    fences
        Of the memory.
    slots
        How many it has.
    holds
        It claims what it takes views of, and others wait for it. Not an observer, which holds nobody back.
    """

    def __init__(self, fences: Fences, slots: int, *, holds: bool = True) -> None:
        self.fences = fences
        self._device = fences.device
        self._slots = slots
        self.holds = holds
        self._open: dict[_Use, dict[int, Stream]] = {}
        if holds:
            fences.enter(self)

    @property
    def is_busy(self) -> bool:
        """Whether it has views of frames that it did not hand over yet."""
        return bool(self._open)

    def begin(self, begin: int, end: int, *, writing: bool, on_host: bool) -> None:
        """A view is taken of slots: wait for others, and remember that this thread's stream works there."""
        stream = None if on_host else self._device.stream()
        self.fences.await_slots(begin, end, self, stream, writing=writing)
        if stream is not None and self.holds:  # what the processor does is done when it hands the frames over
            with self.fences.lock:
                self._open.setdefault((begin, end, writing), {})[stream.ptr] = stream

    def end(self, start: int, stop: int) -> None:
        """Frames are about to be handed over."""
        if not self._open:
            return
        begin = start % self._slots
        end = begin + min(stop - start, self._slots)
        behind = end - self._slots  # the wrap
        with self.fences.lock:
            over = [use for use in self._open if (begin <= use[0] and use[1] <= end) or use[1] <= behind]
            if over:
                self.fences.add(self._recorded(over))

    def end_all(self) -> None:
        """The participant goes."""
        with self.fences.lock:
            self.fences.add(self._recorded(list(self._open)))
            self.fences.leave(self)

    def join(self) -> None:
        """Let this thread's stream wait for the others on which this participant works."""
        mine = self._device.stream()
        with self.fences.lock:
            streams = {ptr: stream for used in self._open.values() for ptr, stream in used.items()}
        for stream in streams.values():
            if stream.ptr != mine.ptr:
                self._device.wait(mine, self._device.record(stream))

    def left_open(self, begin: int, end: int, *, writing: bool) -> list[_Fence]:
        """What stands in the way of one that may have these slots: it was never handed over, so it is now."""
        return self._recorded([u for u in list(self._open) if u[0] < end and begin < u[1] and (writing or u[2])])

    def _recorded(self, over: list[_Use]) -> list[_Fence]:
        """An event on each stream behind what was done there; then it is over."""
        events: dict[int, Event] = {}
        found = []
        for use in over:
            for number, stream in self._open.pop(use, {}).items():
                if number not in events:
                    events[number] = self._device.record(stream)
                found.append(_Fence(*use, stream, events[number]))
        return found
