"""Reading sequences, span by span: with a guarantee (writers wait) or without (what is missed is told)."""

from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING

from labdaq.errors import EndOfDataError, LabdaqError, NotFoundError, SpanError
from labdaq.ring import groups, sequence_table
from labdaq.ring import words as w
from labdaq.ring.blocking_steps import acquire, await_frames
from labdaq.ring.control import end_of_claims
from labdaq.ring.observing_steps import note_seen, oldest_safe
from labdaq.ring.participants import SLICE_NS, Participant
from labdaq.ring.reading_steps import release
from labdaq.ring.sequence_spans import ObservedSpan, ReadSpan
from labdaq.ring.sequence_table import Header, Setup
from labdaq.ring.spans import Form, whole_frames
from labdaq.ring.tensor import Tensor

if TYPE_CHECKING:
    from labdaq.ring.core import RingCore

__all__ = ["ReadSequence", "SequenceReader"]

_IN_USE, _END = w.IN_USE >> 3, w.END >> 3


class SequenceReader(Participant):
    """Reads a ring sequence after sequence, from ``ring.read()``; iterates, and is a context manager.

    It closes when the loop over it ends, by ``break`` too.
    """

    _role = w.SEQUENCE_READER
    _needs_memory = False

    def __init__(self, core: "RingCore", *, guarantee: bool, whence: "str | int", copy: bool = True) -> None:
        self._closed = True
        self.guarantee = guarantee
        self._copy = copy
        self._role = w.SEQUENCE_READER if guarantee else w.OBSERVER
        with core.control.locked():
            first = _first_number(core, whence)
            super().__init__(core)
            if guarantee:
                self._sequencer = groups.join(core.control, "", is_declared=False)
                self._place[w.P_GROUP] = self._sequencer - core.control.address
                self._handle[w.SEQUENCER >> 3] = self._sequencer
        self._next_number = first
        self._position = 0

    def __iter__(self) -> Iterator["ReadSequence"]:
        try:
            while True:
                sequence = self.next_sequence()
                if sequence is None:
                    return
                yield sequence
        finally:
            self.close()

    def next_sequence(self, timeout: float | None = None) -> "ReadSequence | None":
        """The next sequence; None when writing has ended and there is no more.

        Raises
        ------
        WaitTimeoutError
            When none began within ``timeout`` seconds.
        """

        def step(_address: int, wait_ns: int) -> int:
            control = self._core.control
            oldest = next(sequence_table.snapshots(control), None)
            if oldest is not None:
                self._next_number = max(self._next_number, oldest.number)
            if sequence_table.find(control, self._next_number) is not None:
                return self._next_number
            if self._pass_over():
                return w.AGAIN
            if control[w.STATE] == w.ENDED:
                return w.OVER
            self._handle[w.ENTRY >> 3] = 0
            await_frames(self._address, w.HORIZON, 1, wait_ns)
            return w.AGAIN

        number = self._wait(step, (), timeout, "waiting for a sequence")
        if number < 0:
            return None
        setup = sequence_table.find(self._core.control, number)
        if setup is None:
            return self.next_sequence(timeout)
        self._note_thread()
        if not self._is_mapped:
            self._remap()
        self._next_number = number + 1
        self._left = setup
        return ReadSequence(self, setup)

    _left: Setup | None = None

    def _pass_over(self) -> bool:
        """Let go what was not read of the last sequence: its writer may need the room to come to the next."""
        if not self._sequencer or self._left is None:
            return False
        self._handle[w.ENTRY >> 3], self._handle[w.ENTRY_NUMBER >> 3] = self._left.address, self._left.number
        start = acquire(self._address, 1, w.HORIZON, 0)
        if start < 0:
            return False
        self._handle[_IN_USE] = 0
        release(self._address, start)
        return True

    def _reason(self) -> str:
        return "nothing was written"

    def _check_deadlock(self) -> None:
        if self._sequencer:
            self._core.check_deadlock(self._sequencer, self._wanted)

    _wanted = 0


def _first_number(core: "RingCore", whence: "str | int") -> int:
    """The sequence to begin with."""
    setups = list(sequence_table.snapshots(core.control))
    if whence == "earliest":
        safe = oldest_safe(core.control.address) if core.has_memory else 0
        for setup in setups:
            end = sequence_table.end_of(core.control, setup)
            if end is None or end > safe or end == setup.begin:
                return setup.number
        return core.control[w.SEQUENCE_COUNT]
    if whence == "latest":
        return max(0, core.control[w.SEQUENCE_COUNT] - 1)
    if isinstance(whence, str):
        raise SpanError(f"whence={whence!r}: 'earliest', 'latest', or a time tag")
    tagged = [setup for setup in setups if setup.time_tag >= 0 and setup.time_tag <= whence]
    if not tagged:
        tags = [setup.time_tag for setup in setups]
        raise NotFoundError(f"no sequence of ring {core.name!r} holds time tag {whence}; there are {tags}")
    return max(tagged, key=lambda setup: (setup.time_tag, setup.number)).number


class ReadSequence:
    """A sequence while it is read."""

    def __init__(self, reader: SequenceReader, setup: Setup) -> None:
        self._reader = reader
        self._setup = setup
        self.name = setup.name
        self.time_tag = setup.time_tag
        self.header: Header = setup.header
        self.tensor = Tensor.parse(setup.tensor) if setup.tensor else None
        tensor = self.tensor
        dtype, shape = (tensor.stored_dtype, tensor.stored_shape) if tensor else (None, ())
        self._form = Form(setup.begin, setup.frame, dtype, shape, row=setup.row)

    def __repr__(self) -> str:
        return f"<sequence {self.name!r} of ring {self._reader._core.name!r}, time tag {self.time_tag}>"

    def close(self) -> None:
        """End the reading of a sequence that was opened by itself: writers wait for it no longer."""
        self._reader.close()

    def __enter__(self) -> "ReadSequence":
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    @property
    def nframe(self) -> int | None:
        """How many frames it has; None while it is being written."""
        end = sequence_table.end_of(self._reader._core.control, self._setup)
        return None if end is None else (end - self._setup.begin) // self._setup.frame

    @property
    def truncated(self) -> bool:
        """Whether its writer died or was closed in the middle, so that it ends at the last commit."""
        control = self._reader._core.control
        if control.at(self._setup.address + w.Q_NUMBER) != self._setup.number:
            return False
        return bool(control.at(self._setup.address + w.Q_TRUNCATED))

    def read(
        self, gulp: int, stride: int | None = None, begin: int = 0, timeout: float | None = None
    ) -> "Generator[ReadSpan, None, None]":
        """Read span after span.

        Parameters
        ----------
        gulp
            Frames per span. The last span may be shorter.
        stride
            From the beginning of one span to that of the next; less than ``gulp``: spans overlap; more:
            frames between them are passed over. The gulp by default.
        begin
            First frame of the first span, counted from the beginning of the sequence.
        timeout
            Seconds to wait for each span; None waits for ever.

        Yields
        ------
        ReadSpan
            Released when the next one is asked for.
        """
        frame = self._setup.frame
        length = self._checked_gulp(gulp)
        step = length if stride is None else whole_frames(stride, frame, w.HORIZON, "stride", self._reader._core.name)
        position = self._setup.begin + begin * frame
        return (self._guaranteed if self._reader.guarantee else self._unguaranteed)(position, length, step, timeout)

    def acquire(self, begin: int, nframe: int, timeout: float | None = None) -> "ReadSpan":
        """One span from a frame of the sequence on; a context manager that releases it.

        Raises
        ------
        EndOfDataError
            When the sequence ends before.
        """
        if self._reader.guarantee:
            length = self._checked_gulp(nframe)
            self._enter()
            position = self._setup.begin + begin * self._setup.frame
            if self._skip_to(position, timeout) >= 0:
                start, end = self._claim(length, timeout)
                if start >= 0:
                    return ReadSpan(self, start, end, max(start - position, 0))
        else:
            for span in self.read(nframe, begin=begin, timeout=timeout):
                return span
        raise EndOfDataError(f"sequence {self.name!r} has {self.nframe} frames, and frame {begin} was asked for")

    def _checked_gulp(self, nframe: int) -> int:
        core = self._reader._core
        capacity = core.current_memory().contiguous if core.has_memory else w.HORIZON
        return whole_frames(nframe, self._setup.frame, capacity, "read", core.name)

    # ---------------------------------------------------------------------------- with a guarantee

    def _enter(self) -> None:
        handle = self._reader._handle
        handle[w.ENTRY >> 3] = self._setup.address
        handle[w.ENTRY_NUMBER >> 3] = self._setup.number

    def _guaranteed(
        self, position: int, length: int, step: int, timeout: float | None
    ) -> "Generator[ReadSpan, None, None]":
        reader = self._reader
        self._enter()
        asked = position
        position = self._skip_to(position, timeout)
        advance = min(step, length)
        while position >= 0:
            found = self._look_ahead(position, length, timeout) if step != length else 0
            start, end = self._claim(advance, timeout) if found != w.OVER else (-1, 0)
            if start < 0:
                return
            # overlapping spans show more than is claimed: what lies behind a claim is kept too
            stop = end if step >= length else start + min(length, found)
            span = ReadSpan(self, start, stop, max(start - asked, 0))
            try:
                yield span
            finally:
                if not reader._closed:  # a closed reader has given everything back
                    span.release()
            asked = start + step
            position = self._skip_to(asked, timeout) if step > length else end

    def _claim(self, length: int, timeout: float | None) -> tuple[int, int]:
        reader, handle = self._reader, self._reader._handle
        try:
            start = acquire(reader._address, length, length, SLICE_NS if timeout is None else 0)
            if start < 0:
                reader._wanted = length
                what = f"reading {length // self._setup.frame} frames"
                start = reader._wait(acquire, (length, length), timeout, what)
                if start < 0:
                    return -1, 0
            end = handle[_END]
            handle[_IN_USE] = 0
        except LabdaqError:
            raise
        except BaseException:  # an interrupt, perhaps just after the step: nobody else knows of its claim
            if handle[_IN_USE]:
                handle[_IN_USE] = 0
                release(reader._address, handle[w.START >> 3])
            raise
        return start, end

    def _look_ahead(self, position: int, length: int, timeout: float | None) -> int:
        reader = self._reader
        reader._wanted = length
        found = await_frames(reader._address, position, length, 0)
        if found < 0:
            found = reader._wait(await_frames, (position, length), timeout, "reading")
        return found

    def _skip_to(self, position: int, timeout: float | None) -> int:
        """Pass frames over, up to a position; where the reader stands then, -1 at the end."""
        reader = self._reader
        here = end_of_claims(reader._sequencer)
        behind = (here - self._setup.begin) % self._setup.frame
        if here > position and behind:  # the oldest frame left in the ring is not whole
            position = here + self._setup.frame - behind
        while here < position:
            if self._look_ahead(here, 1, timeout) == w.OVER:
                return -1
            start = reader._wait(acquire, (1, position - here), timeout, "passing frames over")
            if start < 0:
                return -1
            here = reader._handle[_END]
            reader._handle[_IN_USE] = 0
            release(reader._address, start)
        return here

    # ------------------------------------------------------------------------- without a guarantee

    def _unguaranteed(
        self, position: int, length: int, step: int, timeout: float | None
    ) -> "Generator[ReadSpan, None, None]":
        reader = self._reader
        frame, begin = self._setup.frame, self._setup.begin
        self._enter()
        asked = position
        while True:
            found = self._look_ahead(position, length, timeout)
            if found == w.OVER:
                self._count_lost(asked)
                return
            safe = oldest_safe(reader._core.control.address)
            if safe > position:  # the writers were faster
                position = begin + -(-(safe - begin) // frame) * frame
                continue
            if reader._core.control[w.GENERATION] != reader._memory.generation:
                reader._remap()
            count = min(found, length) // frame * frame
            if count == 0:
                return
            span = ObservedSpan(self, position, position + count, max(position - asked, 0))
            if reader._copy and not span.keep().nframe:  # all gone while it was copied: the next span tells of it
                position, asked = position + step, asked + max(step - count, 0)
                continue
            note_seen(reader._address, position, 0, span.nframe_skipped, 0)
            try:
                yield span
            finally:
                span.release()
            asked = position = position + step

    def _count_lost(self, asked: int) -> None:
        """The last frames of a sequence may be gone before any span could tell of it."""
        reader = self._reader
        end = sequence_table.end_of(reader._core.control, self._setup)
        if end is not None and end > asked:
            note_seen(reader._address, end, 0, (end - asked) // self._setup.frame, 0)
