"""What becomes of the events of a worker, counted in its row on the board of the run.

Functions of users read and write as they like and say nothing of it, so it is seen from their buffers: an event
was *accepted* when its worker took a slot of another buffer while it had the event at hand, or has no buffer to
write at all; otherwise it was *rejected*. Counting survives a kill, as :mod:`labdaq.pipeline.workers.board` has it.

A worker may have events of several buffers at hand, whose claims have the same numbers. So each buffer that its node
reads has a place among them, and its claims are noted under a number that no other has: see :func:`claim_at`.
"""

from pathlib import Path
from typing import Any

from labdaq.pipeline.workers import board as b
from labdaq.pipeline.workers.board import Board, Row

__all__ = ["ONLY", "Account", "Place", "PlacedRow", "claim_at"]

Place = tuple[int, int]

ONLY: Place = (0, 1)
"""The place of a buffer whose readers read no other."""


def claim_at(place: Place, claim: int) -> int:
    """The number under which a claim is noted.

    Parameters
    ----------
    place
        Of the buffer among those that its node reads, and how many these are.
    claim
        Of the ring; -1 for none, which is negative in every place.

    Examples
    --------
    >>> [claim_at((1, 2), claim) for claim in (0, 1, 2)], claim_at(ONLY, 7)
    ([1, 3, 5], 7)
    """
    number, count = place
    return claim * count + number if claim >= 0 else -1


class PlacedRow(Row):
    """The row of a worker, for one who knows claims as the ring of one buffer has them.

    Parameters
    ----------
    row
        The row itself.
    place
        Of the buffer.
    """

    __slots__ = ("_place",)

    def __init__(self, row: Row, place: Place) -> None:
        super().__init__(row.words, row.base, row.address - 8 * row.base)
        self._place = place

    def strike_out(self, claim: int) -> bool:
        """See :meth:`labdaq.pipeline.workers.board.Row.strike_out`."""
        return super().strike_out(claim_at(self._place, claim))


class Account:
    """The account of one worker. Pickled, it opens the board in the process of the worker; elsewhere it is idle.

    Claims are called by the numbers that :func:`claim_at` gives them.

    Parameters
    ----------
    path
        The board; None for a process outside any run: nothing is counted.
    number
        Of the row.
    passes_on
        Whether the worker has buffers to write.

    Examples
    --------
    >>> import tempfile
    >>> board = Board.create(Path(tempfile.mkdtemp()) / "board", nrows=1)
    >>> account = Account.opened(board.path, 0, passes_on=True)
    >>> for index in range(3):
    ...     account.took(index, redelivered=False)
    ...     if index == 1:
    ...         account.passed()
    ...     account.finished(index, 1); account.released(index)
    >>> board.row(0).counts()["accepted"], board.row(0).counts()["rejected"]
    (1, 2)
    """

    def __init__(self, path: Path | None = None, number: int = 0, *, passes_on: bool = False) -> None:
        self._path, self._number, self._passes_on = path, number, passes_on
        self._board: Board | None = None
        self._row: Row | None = None
        self._noted = -1
        self._has_passed: dict[int, bool] = {}

    @classmethod
    def opened(cls, path: Path | None, number: int, passes_on: bool) -> "Account":
        """The account of this process: the board is opened."""
        account = cls(path, number, passes_on=passes_on)
        if path is not None:
            account._board = Board.open(path)
            account._row = account._board.row(number)
        return account

    def __reduce__(self) -> tuple[Any, ...]:
        return Account.opened, (self._path, self._number, self._passes_on)

    # ---------------------------------------------------------------------------------- reading

    def took(self, claim: int, redelivered: bool) -> None:
        """Events of a claim are at hand; what one who died noted of it is struck out."""
        self._has_passed[claim] = False
        if redelivered and claim != self._noted and self._row is not None and self._board is not None:
            from labdaq.pipeline.workers.filtering import strike_out

            strike_out(self._board, self._row, claim)

    def finished(self, claim: int, count: int) -> None:
        """The worker is done with the events at hand of a claim; they are about to be released."""
        has_passed = self._has_passed.pop(claim, False)
        if self._row is None:
            return
        if claim != self._noted:
            self._noted = claim
            self._row.settle(claim)
        self._row.count(b.ACCEPTED if has_passed or not self._passes_on else b.REJECTED, count)

    def released(self, claim: int) -> None:
        """The whole claim was."""
        self._has_passed.pop(claim, None)
        if self._row is not None and claim == self._noted:
            self._noted = -1
            self._row.settle()

    # ---------------------------------------------------------------------------------- writing

    def passed(self) -> None:
        """The worker took a slot: something becomes of all that it has at hand."""
        self._has_passed = dict.fromkeys(self._has_passed, True)

    def wrote(self, waited_ns: int) -> None:
        """An event was handed over, after so long a wait for room and the copy."""
        if self._row is not None:
            self._row.put(b.W_WRITTEN, self._row.get(b.W_WRITTEN) + 1)
            self._row.put(b.W_WAITED_NS, self._row.get(b.W_WAITED_NS) + waited_ns)

    def discarded(self) -> None:
        """An event came that nobody wanted."""
        if self._row is not None:
            self._row.count(b.DISCARDED)
            self._row.settle(self._noted)
