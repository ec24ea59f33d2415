"""Answers to the exercises of the course, and whether they are right."""

from collections.abc import Callable
from types import EllipsisType
from typing import Any

import numpy as np

__all__ = ["Verdict", "check"]


class Verdict:
    """What there is to say about an answer; shown at the end of a cell.

    Attributes
    ----------
    is_right : bool
    text : str
    """

    def __init__(self, text: str, *, is_right: bool = False) -> None:
        self.text, self.is_right = text, is_right

    def __bool__(self) -> bool:
        return self.is_right

    def __repr__(self) -> str:
        return self.text


def check(answer: Any, right: Any, within: float = 0.0, hint: str = "") -> Verdict:
    """Compare an answer with what is right.

    Parameters
    ----------
    answer
        A number, several in a list, or a word; the three dots of Python while there is none yet.
    right
        The same, or a function that says of an answer whether it is right.
    within
        So far a number may be off.
    hint
        Said with an answer that is not right.

    Returns
    -------
    Verdict
        It is true if the answer is right. An answer of the wrong kind is not right, and raises nothing.

    Examples
    --------
    >>> check(..., 42.0)
    your turn: put your answer in place of the three dots
    >>> check(41.9, 42.0, within=0.5)
    right
    >>> check(21, 42, hint="forwards and backwards?")
    not yet: too small; forwards and backwards?
    >>> check("Na-22", "Cs-137")
    not yet
    >>> check(5, lambda n: n % 2 == 1)
    right
    """
    if any(isinstance(part, EllipsisType) for part in (answer if isinstance(answer, list | tuple) else [answer])):
        return Verdict("your turn: put your answer in place of the three dots")
    told = _asked(right, answer) if callable(right) else _compared(answer, right, within)
    if told is True:
        return Verdict("right", is_right=True)
    words = ": ".join(["not yet", *([told] if isinstance(told, str) else [])])
    return Verdict("; ".join([words, *([hint] if hint else [])]))


def _asked(right: Callable[[Any], Any], answer: Any) -> bool | str:
    try:
        return bool(right(answer))
    except (TypeError, ValueError, IndexError, KeyError, AttributeError):
        return "that is not the kind of answer that was asked for"


def _compared(answer: Any, right: Any, within: float) -> bool | str:
    """Whether they agree; in words where there is more to say."""
    if isinstance(right, str):
        return bool(answer == right)
    try:
        given, wanted = np.asarray(answer, np.float64), np.asarray(right, np.float64)
    except (TypeError, ValueError):
        return "that is no number"
    if given.shape != wanted.shape:
        return f"{given.size} numbers instead of {wanted.size}"
    off = given - wanted
    if (np.abs(off) <= within).all():
        return True
    if not np.isfinite(given).all():
        return "that is not a finite number"
    return False if given.size != 1 else "too large" if off > 0 else "too small"
