"""What becomes of the events of a worker, counted in its row on the board of the run.

Functions of users read and write as they like and say nothing of it, so it is seen from their buffers: an event
was *accepted* when its worker took a slot of another buffer while it had the event at hand, or has no buffer to
write at all; otherwise it was *rejected*. Counting survives a kill, as :mod:`labdaq.pipeline.workers.board` has it.
"""

from pathlib import Path
from typing import Any

from labdaq.pipeline.workers import board as b
from labdaq.pipeline.workers.board import Board, Row

__all__ = ["Account"]


class Account:
    """The account of one worker. Pickled, it opens the board in the process of the worker; elsewhere it is idle.

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
    ...     account.finished(1); account.released(is_over=True)
    >>> board.row(0).counts()["accepted"], board.row(0).counts()["rejected"]
    (1, 2)
    """

    def __init__(self, path: Path | None = None, number: int = 0, *, passes_on: bool = False) -> None:
        self._path, self._number, self._passes_on = path, number, passes_on
        self._board: Board | None = None
        self._row: Row | None = None
        self._claim = -1
        self._has_passed = False

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
        self._has_passed = False
        if self._row is None or claim == self._claim:
            return
        self._claim = claim
        self._row.settle(claim)
        if redelivered and self._board is not None:
            from labdaq.pipeline.workers.filtering import strike_out

            strike_out(self._board, self._row, claim)

    def finished(self, count: int) -> None:
        """The worker is done with the events at hand; they are about to be released."""
        if self._row is not None:
            self._row.count(b.ACCEPTED if self._has_passed or not self._passes_on else b.REJECTED, count)
        self._has_passed = False

    def released(self, *, is_over: bool) -> None:
        """They were, and the whole claim with them, or not yet."""
        if self._row is not None and is_over and self._claim >= 0:
            self._claim = -1
            self._row.settle()

    # ---------------------------------------------------------------------------------- writing

    def passed(self) -> None:
        """The worker took a slot: of what it has at hand something becomes of."""
        self._has_passed = True

    def wrote(self, waited_ns: int) -> None:
        """An event was handed over, after so long a wait for room and the copy."""
        if self._row is not None:
            self._row.put(b.W_WRITTEN, self._row.get(b.W_WRITTEN) + 1)
            self._row.put(b.W_WAITED_NS, self._row.get(b.W_WAITED_NS) + waited_ns)

    def discarded(self) -> None:
        """An event came that nobody wanted."""
        if self._row is not None:
            self._row.count(b.DISCARDED)
            self._row.settle(self._claim)
