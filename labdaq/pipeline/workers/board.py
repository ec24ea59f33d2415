"""The board of a run: numbers that all its workers, in threads and processes, see and write.

A file of 64-bit words in the folder of the run, mapped by all. Each word has one writer: the supervisor writes
the head, each worker its own row; the few words with several writers are changed by atomic steps. What was
counted is there after a process was killed, and after the machine's Python is gone: the file stays readable.

Counting survives a kill at any moment. A worker notes what became of the events of its claim in *tallies*, then
releases the claim, then adds the tallies to its *totals*. Who takes a claim over from a dead one strikes out the
tallies of that claim; what was released before its owner died is added to the totals afterwards.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from labdaq.errors import DataError, ResourceError
from labdaq.native import jit
from labdaq.native.atomics import add, compare_and_swap
from labdaq.native.file_memory import map_file

__all__ = ["OUTCOMES", "Board", "Row"]

_MAGIC = 0x6C616264_61710003

# ---- words of the head
MAGIC, STATE, IS_TAKING, IS_PAUSED, IS_ABORTED = range(5)
TAKEN, LIMIT, STARTED_NS, ENDED_NS, NROWS, NTABLES = range(5, 11)
PID, HEARTBEAT_NS, SECONDS_NS, DEADTIME_PPB = range(11, 15)  # the last two: of the intake so far
HEAD_WORDS = 64

# ---- words of a row
W_STATE, W_PID, W_CLAIM, W_GROUP, W_WRITTEN, W_ERRORS, W_CPU_NS = range(7)
W_FRAME, W_FIRST, W_BEHIND = range(8, 11)  # of the claim at hand, in compiled code
W_AT = 13  # index of the event at hand, plus 1
W_REFUSED = 12  # of a source that pushes: events for which there was no room
W_WAITED_NS = 11  # of a source: for room, and copying
W_TALLIES, W_TOTALS = 16, 24
ROW_WORDS = 64

OUTCOMES = ("accepted", "rejected", "quarantined", "repeated", "discarded")
"""What can become of an event in a worker; the numbers of tallies and totals."""
ACCEPTED, REJECTED, QUARANTINED, REPEATED, DISCARDED = range(5)

STARTING, WORKING, DONE, BROKEN, KILLED, STUCK = range(6)
WORKER_STATES = ("starting", "working", "done", "failed", "killed", "stuck")

TABLE_WORDS = 1 << 16
NO_LIMIT = 1 << 62


@jit
def _add(address: int, count: int) -> int:
    return add(address, count)


@jit
def _swap(address: int, old: int, new: int) -> int:
    return compare_and_swap(address, old, new)


class Board:
    """The numbers of one run; made by `create`, found by others with `open`."""

    def __init__(self, path: Path, *, nrows: int = 0, ntables: int = 0) -> None:
        self.path = path
        try:
            if nrows:
                _make(path, 8 * (HEAD_WORDS + nrows * ROW_WORDS + ntables * TABLE_WORDS))
            with path.open("r+b") as file:
                nbytes = os.fstat(file.fileno()).st_size
                if nbytes < 8 * HEAD_WORDS:
                    raise DataError(f"{path} is no board of a run: it has {nbytes} bytes")
                self._show(np.frombuffer(map_file(file.fileno(), nbytes & ~7, writable=True), np.int64))
        except OSError as error:
            raise ResourceError.of(error, "making the board of the run", path) from error
        if nrows:
            self.words[NROWS], self.words[NTABLES], self.words[LIMIT] = nrows, ntables, NO_LIMIT
            self.words[MAGIC] = _MAGIC
        elif self.words[MAGIC] != _MAGIC:
            raise DataError(f"{path} is no board of a run")

    def _show(self, array: NDArray[np.int64]) -> None:
        self._array = array
        self.words: memoryview = array.data
        self.address = int(array.ctypes.data)

    @classmethod
    def create(cls, path: Path, nrows: int, ntables: int = 0) -> "Board":
        """A new board, with a row for each worker."""
        return cls(path, nrows=max(nrows, 1), ntables=ntables)

    @classmethod
    def open(cls, path: Path) -> "Board":
        """The board that another process made.

        Raises
        ------
        ResourceError, DataError
            There is none, or it is something else.
        """
        return cls(path)

    def row(self, number: int) -> "Row":
        """The row of one worker."""
        return Row(self.words, HEAD_WORDS + number * ROW_WORDS, self.address)

    def rows(self) -> Iterator["Row"]:
        """All rows."""
        return (self.row(number) for number in range(self.words[NROWS]))

    def table(self, number: int) -> NDArray[np.int64]:
        """One of the tables of 64-bit numbers, shape (TABLE_WORDS,)."""
        begin = HEAD_WORDS + self.words[NROWS] * ROW_WORDS + number * TABLE_WORDS
        return self._array[begin : begin + TABLE_WORDS]

    def take(self, count: int = 1) -> tuple[int, int]:
        """Take up to so many of the events that the run still wants: the number of the first, and how many."""
        limit = self.words[LIMIT]
        first = _add(self.address + 8 * TAKEN, count)
        return first, max(0, min(count, limit - first))

    def give_back(self, first: int, count: int) -> bool:
        """Untake the events that were taken last, if nobody took any since."""
        return bool(_swap(self.address + 8 * TAKEN, first + count, first))

    @property
    def taken(self) -> int:
        """How many events were taken so far."""
        return min(self.words[TAKEN], self.words[LIMIT])

    @property
    def left(self) -> int:
        """How many events the run still wants."""
        return max(self.words[LIMIT] - self.words[TAKEN], 0)

    def close(self) -> None:
        """Keep what it says now. The file is unmapped when nobody has a row of it: a stuck thread may write late."""
        self._show(self._array.copy())


def _make(path: Path, nbytes: int) -> None:
    """A file whose blocks exist: to write into a map of others would end the process on a full disk."""
    with path.open("xb") as file:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, nbytes)
        else:
            file.write(bytes(nbytes))


class Row:
    """The numbers of one worker; it alone changes them while it lives."""

    __slots__ = ("address", "base", "words")

    def __init__(self, words: memoryview, base: int, board_address: int) -> None:
        self.words = words
        self.base = base
        self.address = board_address + 8 * base

    def get(self, word: int) -> int:
        """One of its words."""
        return self.words[self.base + word]

    def put(self, word: int, value: int) -> None:
        """Change one of its words."""
        self.words[self.base + word] = value

    def count(self, outcome: int, amount: int = 1) -> None:
        """Note what became of events of the claim at hand."""
        self.words[self.base + W_TALLIES + outcome] += amount

    def settle(self, next_claim: int = -1) -> None:
        """The claim at hand was released: its tallies count for good. Note the next one."""
        words, base = self.words, self.base
        words[base + W_CLAIM] = 0
        for outcome in range(len(OUTCOMES)):
            tally = words[base + W_TALLIES + outcome]
            if tally:
                words[base + W_TOTALS + outcome] += tally
                words[base + W_TALLIES + outcome] = 0
        words[base + W_CLAIM] = next_claim + 1

    def strike_out(self, claim: int) -> bool:
        """Somebody else does the work of this claim again: forget what was noted of it."""
        if self.get(W_CLAIM) != claim + 1:
            return False
        for outcome in range(len(OUTCOMES)):
            self.put(W_TALLIES + outcome, 0)
        self.put(W_CLAIM, 0)
        return True

    def counts(self) -> dict[str, int]:
        """What became of its events so far, by outcome."""
        return {name: self.get(W_TOTALS + n) + self.get(W_TALLIES + n) for n, name in enumerate(OUTCOMES)}

    @property
    def state(self) -> str:
        """starting, working, done, failed, killed or stuck."""
        return WORKER_STATES[self.get(W_STATE)]
