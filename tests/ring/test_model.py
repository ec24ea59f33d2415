"""A ring of events against a plain model of it: lists and counters, whatever is done in whatever order."""

from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from labdaq import Ring
from labdaq.errors import EndOfDataError, WaitTimeoutError

CAPACITY = 5
GROUPS = ("a", "b")
VOID = object()


class ModelGroup:
    """A reader group: where its next claim begins, and what its members hold."""

    def __init__(self, start: int) -> None:
        self.next = start
        self.held: dict[int, int] = {}  # member -> frame
        self.finished = {*()}
        self.start = start

    @property
    def tail(self) -> int:
        """The first frame that it has not finished."""
        tail = self.start
        while tail in self.finished:
            tail += 1
        return tail


class RingModel(RuleBasedStateMachine):
    """Single-threaded, nothing waits: the model says what must happen, refusals included."""

    @initialize(space=st.sampled_from(["system", "shared"]), first=st.sampled_from([0, 2**52 - 7]))
    def make(self, space: str, first: int) -> None:
        self.ring = Ring(space=space, dtype="i8", capacity=CAPACITY, _first_frame=first)
        self.writers = [self.ring.writer() for _ in range(2)]
        self.frames: list[Any] = []  # committed values, VOID, or None while open
        self.first = first
        self.open: list[tuple[int, Any]] = []  # (frame, event)
        self.groups: dict[str, ModelGroup] = {}
        self.readers: dict[tuple[str, int], Any] = {}
        self.ended = False
        self.value = 0

    def teardown(self) -> None:
        if hasattr(self, "ring"):
            for participant in [*self.writers, *self.readers.values()]:
                participant.close()
            self.ring.close()

    # ------------------------------------------------------------------------------------ the model

    @property
    def committed(self) -> int:
        """The end of the finished prefix."""
        return next((i for i, value in enumerate(self.frames) if value is None), len(self.frames))

    @property
    def room(self) -> int:
        needed = min([self.committed, *(group.tail for group in self.groups.values())])
        return needed + CAPACITY - len(self.frames)

    # ------------------------------------------------------------------------------------- writing

    @precondition(lambda self: not self.ended)
    @rule(writer=st.integers(0, 1))
    def reserve(self, writer: int) -> None:
        if self.room < 1:
            with pytest.raises(WaitTimeoutError):
                self.writers[writer].reserve(timeout=0)
            return
        event = self.writers[writer].reserve(timeout=0)
        assert event.index == self.first + len(self.frames)
        self.frames.append(None)
        self.open.append((len(self.frames) - 1, event))

    @precondition(lambda self: self.open)
    @rule(which=st.integers(0, 10), keep=st.booleans())
    def finish(self, which: int, keep: bool) -> None:
        frame, event = self.open.pop(which % len(self.open))
        self.value += 1
        if keep:
            event.data[...] = self.value
            event.commit()
        else:
            event.void()
        self.frames[frame] = self.value if keep else VOID

    @precondition(lambda self: not self.ended)
    @rule(count=st.integers(1, CAPACITY))
    def batch(self, count: int) -> None:
        if self.room < count:
            with pytest.raises(WaitTimeoutError):
                self.writers[0].reserve(count, timeout=0)
            return
        with self.writers[0].reserve(count, timeout=0) as span:
            span.data[...] = range(self.value + 1, self.value + count + 1)
        self.frames += range(self.value + 1, self.value + count + 1)
        self.value += count

    @precondition(lambda self: not self.open and not self.ended)
    @rule()
    def end(self) -> None:
        self.ring.end()
        self.ended = True

    @precondition(lambda self: self.ended)
    @rule()
    def write_again(self) -> None:
        self.writers[0].close()
        self.writers[0] = self.ring.writer()
        self.ended = False

    # ------------------------------------------------------------------------------------- reading

    @rule(name=st.sampled_from(GROUPS))
    def declare(self, name: str) -> None:
        self.ring.group(name)
        if name not in self.groups:
            self.groups[name] = ModelGroup(max(0, len(self.frames) - CAPACITY))

    @rule(name=st.sampled_from(GROUPS), member=st.integers(0, 1))
    def read(self, name: str, member: int) -> None:
        if name not in self.groups:
            return
        group = self.groups[name]
        reader = self.readers.get((name, member))
        if reader is None:
            reader = self.readers[name, member] = self.ring.reader(name)
        if member in group.held:
            group.finished.add(group.held.pop(member))
        while group.next < self.committed and self.frames[group.next] is VOID:
            group.finished.add(group.next)
            group.next += 1
        if group.next < self.committed:
            event = reader.read(timeout=0)
            assert (event.index, int(event.data)) == (self.first + group.next, self.frames[group.next])
            assert not event.redelivered
            group.held[member] = group.next
            group.next += 1
        else:
            with pytest.raises(EndOfDataError if self.ended else WaitTimeoutError):
                reader.read(timeout=0)

    @rule()
    def observe(self) -> None:
        with self.ring.observer() as observer:
            seen = []
            while True:
                try:
                    seen.append(int(observer.read(timeout=0).data))
                except (WaitTimeoutError, EndOfDataError):
                    break
        oldest = max(0, len(self.frames) - CAPACITY)
        assert seen == [value for value in self.frames[oldest : self.committed] if value is not VOID]

    # ---------------------------------------------------------------------------------- bookkeeping

    @invariant()
    def numbers_agree(self) -> None:
        if not hasattr(self, "ring"):
            return
        statistics = self.ring.statistics()
        assert statistics.frames_reserved == len(self.frames) - self.committed
        voided = sum(value is VOID for value in self.frames)
        assert statistics.voided == voided
        if None not in self.frames:
            assert statistics.frames_written == len(self.frames) - voided
        lags = {group.name: group.lag for group in statistics.groups}
        assert lags == {name: len(self.frames) - group.tail for name, group in self.groups.items()}


RingModel.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestRingAgainstModel = RingModel.TestCase
