"""The control block of a ring: made, attached to, read from Python, and locked for what is rare.

The four steps of data flow never lock. Everything rare does (joining, leaving, sequences, resizing,
recovery): one word holds the process that changes the block. A process killed meanwhile does not keep it:
the next one sees that the holder is dead, takes over, and undoes what was left frozen.
"""

import contextlib
import os
import threading
import time
import weakref
from collections.abc import Callable, Iterator

from labdaq.errors import BusyError, DataError
from labdaq.native import jit
from labdaq.native.atomics import add as _add
from labdaq.native.atomics import compare_and_swap as _compare_and_swap
from labdaq.native.mapping import PAGE, Mapping
from labdaq.native.process import Identity, identity_of, this_process
from labdaq.ring import words as w
from labdaq.ring.sequencer import claimed_end, reset, unfreeze
from labdaq.ring.waiting import wake

__all__ = ["Control", "block_nbytes", "end_of_claims"]

LOCK_TIMEOUT_S = 5.0
_STARTED_BITS = 32


@jit
def swap(address: int, expected: int, new: int) -> int:
    """Compare-and-swap, for Python."""
    return _compare_and_swap(address, expected, new)


@jit
def _claimed_end(sequencer: int, claims: int) -> int:
    return claimed_end(sequencer, claims)


def end_of_claims(sequencer: int) -> int:
    """The frame behind the last one that was ever claimed from a sequencer, for Python."""
    return int(_claimed_end(sequencer, w.CLAIM_SLOTS))


@jit
def increase(address: int, amount: int) -> int:
    """Atomic addition, for Python; the value before."""
    return _add(address, amount)


def _offsets() -> dict[int, int]:
    """Where the parts of a block begin, by the header word that says so."""
    at = w.HEADER_NBYTES
    offsets = {}
    for word, nbytes in (
        (w.WRITERS, (w.GROUP_SLOTS + 1) * (w.RECORDS + 16 * w.CLAIM_SLOTS)),
        (w.PARTICIPANTS, w.PARTICIPANT_SLOTS * w.PARTICIPANT_NBYTES),
        (w.SEQUENCES, w.SEQUENCE_SLOTS * w.SEQUENCE_NBYTES),
        (w.HOLES, w.HOLE_SLOTS * 16),
        (w.LAYOUTS, 2 * w.LAYOUT_NBYTES),
        (w.ARENA, w.ARENA_SIZE),
        (w.BLOCK_NBYTES, 0),
    ):
        offsets[word] = at
        at += nbytes
    return offsets


def block_nbytes() -> int:
    """Size of a control block, a multiple of the page."""
    return -(-_offsets()[w.BLOCK_NBYTES] // PAGE) * PAGE


class Control:
    """The control block of one ring, in this process.

    Parameters
    ----------
    mapping
        Memory of at least :func:`block_nbytes` bytes.
    token
        The name of the ring in the system: all who attach to it in this process share one lock.
    """

    def __init__(self, mapping: Mapping, token: str) -> None:
        self.mapping = mapping
        self._process_lock = _process_lock(token)
        self.address = mapping.address
        self.bytes = mapping.bytes().data
        self.words = self.bytes.cast("q")
        self.on_repair: Callable[[], None] = lambda: None
        """What else to put right in the block before anyone may claim again."""

    @classmethod
    def create(
        cls, mapping: Mapping, token: str, *, is_private: bool, is_typed: bool, first_frame: int = 0
    ) -> "Control":
        """Fill fresh memory. The magic number comes last: what has it is complete."""
        control = cls(mapping, token)
        for word, offset in _offsets().items():
            control[word] = offset
        control[w.CLAIMS] = w.CLAIM_SLOTS
        control[w.ARENA_NBYTES] = w.ARENA_SIZE
        control[w.IS_PRIVATE] = int(is_private)
        control[w.IS_TYPED] = int(is_typed)
        control[w.CREATED_NS] = time.time_ns()
        control[w.FIRST_FRAME] = control[w.LAST_BEGIN] = control[w.KEPT_FROM] = first_frame
        reset(control.writers, w.CLAIM_SLOTS, first_frame)
        control[w.MAGIC] = w.MAGIC_NUMBER
        return control

    @classmethod
    def attach(cls, mapping: Mapping, token: str) -> "Control":
        """Use a block that another process filled.

        Raises
        ------
        DataError
            When it is not a control block of this version.
        """
        control = cls(mapping, token)
        if control[w.MAGIC] != w.MAGIC_NUMBER:
            raise DataError(f"no ring of this version: magic {control[w.MAGIC]:#x}, not {w.MAGIC_NUMBER:#x}")
        return control

    def __getitem__(self, offset: int) -> int:
        return self.words[offset >> 3]

    def __setitem__(self, offset: int, value: int) -> None:
        self.words[offset >> 3] = value

    @property
    def writers(self) -> int:
        """Address of the writers' sequencer."""
        return self.address + self[w.WRITERS]

    def at(self, address: int) -> int:
        """The word at an address inside the block."""
        return self.words[(address - self.address) >> 3]

    def put(self, address: int, value: int) -> None:
        """Write the word at an address inside the block."""
        self.words[(address - self.address) >> 3] = value

    def read_text(self, address: int, nbytes: int = 64) -> str:
        """A zero-terminated UTF-8 text."""
        start = address - self.address
        return bytes(self.bytes[start : start + nbytes]).split(b"\0")[0].decode("utf-8", "replace")

    def write_text(self, address: int, text: str, nbytes: int = 64) -> None:
        """Store a text, cut to what fits."""
        start = address - self.address
        raw = text.encode()[: nbytes - 1]
        self.bytes[start : start + nbytes] = raw + bytes(nbytes - len(raw))

    def wake_all(self) -> None:
        """Wake every sleeper, to look at the world again."""
        wake(self.address, w.SPACE_EVENT)
        wake(self.address, w.DATA_EVENT)

    def new_epoch(self) -> None:
        """Make all writers work out their limits again. Only while their sequencer is frozen."""
        increase(self.address + w.EPOCH, 1)

    def unfreeze(self, sequencer: int) -> None:
        """Let claims go on."""
        unfreeze(sequencer, w.CLAIM_SLOTS)
        self.wake_all()

    def sequencers(self) -> Iterator[int]:
        """Addresses: the writers', then those of all group slots ever used."""
        for number in range(self[w.GROUPS_USED] + 1):
            yield self.writers + number * (w.RECORDS + 16 * w.CLAIM_SLOTS)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keep every other process and thread from changing the block.

        Raises
        ------
        BusyError
            When a living process holds it for longer than 5 s.
        """
        mine = self._process_lock
        with mine.lock:
            mine.depth += 1
            try:
                if mine.depth == 1:
                    mine.word = self._token(this_process())
                    if self._take_lock(mine.word):
                        self._repair()
                yield
            finally:
                mine.depth -= 1
                if mine.depth == 0:
                    swap(self.address + w.LOCK, mine.word, 0)

    def _repair(self) -> None:
        """Finish, or undo, what one began who died while it held the lock; then let claims go on."""
        self.on_repair()
        for sequencer in self.sequencers():
            self.unfreeze(sequencer)

    @staticmethod
    def _token(process: Identity) -> int:
        return (process.pid << _STARTED_BITS) | (process.started & ((1 << _STARTED_BITS) - 1))

    def _take_lock(self, mine: int) -> bool:
        """Whether what the last holder left must be repaired."""
        deadline = time.monotonic() + LOCK_TIMEOUT_S
        while not swap(self.address + w.LOCK, 0, mine):
            holder = self[w.LOCK]
            # inside this process the thread lock excludes others: a word with our name is a leftover
            # of a thread that was interrupted on its way out
            if holder == mine or (holder and not self._lives(holder)):
                if swap(self.address + w.LOCK, holder, mine):
                    return True
            elif time.monotonic() > deadline:
                raise BusyError(
                    f"process {holder >> _STARTED_BITS} has been changing this ring for {LOCK_TIMEOUT_S:g} s: "
                    "it may be stopped; continue or end it"
                )
            time.sleep(0.0002)
        return False

    @staticmethod
    def _lives(token: int) -> bool:
        process = identity_of(token >> _STARTED_BITS)
        return process is not None and Control._token(process) == token


class _ProcessLock:
    """Keeps the threads of this process apart, before one of them takes the lock of the block."""

    def __init__(self) -> None:
        self.renew()

    def renew(self) -> None:
        """In a forked child: the threads that held it are not there."""
        self.lock = threading.RLock()
        self.depth = 0
        self.word = 0


_PROCESS_LOCKS: "weakref.WeakValueDictionary[str, _ProcessLock]" = weakref.WeakValueDictionary()


def _process_lock(token: str) -> _ProcessLock:
    return _PROCESS_LOCKS.setdefault(token, _ProcessLock())


def _after_fork() -> None:
    for lock in list(_PROCESS_LOCKS.values()):
        lock.renew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
