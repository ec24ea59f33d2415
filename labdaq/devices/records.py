"""Numbers in text to records: what serial lines and web pages have in common.

Instruments send rubbish now and then. None of it is an error: it is not a record, and it is counted.
"""

import contextlib
import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from labdaq.errors import LayoutError

__all__ = ["Fields", "LineSplitter"]

_SEPARATORS = re.compile(r"\s*[,;\t]\s*|\s+")


class Fields:
    """The fields of a record, and how they are found in text.

    Parameters
    ----------
    names
        Of the fields, which are float64; or a mapping of name to dtype of numbers.

    Raises
    ------
    LayoutError
        No fields, or a field that is no number.

    Examples
    --------
    >>> fields = Fields(["volt", "celsius"])
    >>> fields.of_text("1.25, 21"), fields.of_text("1.25, hot"), fields.of_text("1.25")
    ((1.25, 21.0), None, None)
    >>> fields.of_json('{"volt": 1.25, "celsius": 21, "more": 0}')
    (1.25, 21.0)
    """

    def __init__(self, names: Sequence[str] | Mapping[str, Any]) -> None:
        kinds = (
            dict(names) if isinstance(names, Mapping) else dict.fromkeys([names] if isinstance(names, str) else names)
        )
        if not kinds or not all(kinds):
            raise LayoutError(f"a record has at least one field, and each field a name; given: {names!r}")
        try:
            self.dtype = np.dtype([(name, kind or np.float64) for name, kind in kinds.items()])
        except (TypeError, ValueError) as error:
            raise LayoutError(f"{names!r} are not fields: {error}") from error
        self.names: tuple[str, ...] = tuple(kinds)
        wrong = [name for name in self.names if self.dtype[name].kind not in "iuf"]
        if wrong:
            raise LayoutError(f"the fields {', '.join(wrong)} are no plain numbers: give a dtype such as 'f8' or 'i4'")

    def of_text(self, line: str) -> tuple[float, ...] | None:
        """The record in a line of numbers between commas, semicolons, tabs or blanks; None: there is none."""
        return self._record(_SEPARATORS.split(line.strip()))

    def of_json(self, text: str | bytes) -> tuple[float, ...] | None:
        """The record in a JSON object with these names, or an array in their order; None: there is none."""
        try:
            found = json.loads(text)
        except (ValueError, RecursionError):
            return None
        if isinstance(found, dict):
            found = [found.get(name) for name in self.names]
        return self._record(found) if isinstance(found, list) else None

    def _record(self, values: Sequence[Any]) -> tuple[float, ...] | None:
        if len(values) != len(self.names):
            return None
        numbers = [_number(value, self.dtype[name]) for value, name in zip(values, self.names, strict=True)]
        good = tuple(number for number in numbers if number is not None)
        return good if len(good) == len(numbers) else None


def _number(value: Any, kind: np.dtype[Any]) -> float | None:
    """A number that fits, whole numbers without rounding; None: it does not."""
    if not isinstance(value, str | int | float) or isinstance(value, bool) or "_" in str(value):
        return None
    try:
        if kind.kind == "f":
            number = float(value)
            return number if not math.isfinite(number) or abs(number) <= float(np.finfo(kind).max) else None
        number = _whole(value)
        limits = np.iinfo(kind)
    except (ValueError, OverflowError):
        return None
    return number if limits.min <= number <= limits.max else None


def _whole(value: str | float) -> int:
    """A whole number, exactly, in digits or as a float."""
    if isinstance(value, str):
        with contextlib.suppress(ValueError):
            return int(value)
        value = float(value)
    number = int(value)
    if number != value:
        raise ValueError(f"{value!r} is not whole")
    return number


class LineSplitter:
    r"""Bytes as they come to whole lines.

    Parameters
    ----------
    longest
        Bytes of a line. A longer one is dropped and counted: what never ends would fill the memory.
    partial
        What comes first may be the rest of a line: leave it out.

    Examples
    --------
    >>> splitter = LineSplitter(10)
    >>> splitter.feed(b"1\r\n2"), splitter.feed(b"3\n" + 20 * b"4"), splitter.feed(b"4\n5\n"), splitter.too_long
    (['1'], ['23'], ['5'], 1)
    """

    def __init__(self, longest: int, *, partial: bool = False) -> None:
        self.longest, self.too_long = longest, 0
        self._rest = b""
        self._skipping = partial

    def feed(self, piece: bytes) -> list[str]:
        """The lines that are complete now, without their ends; bytes that are no UTF-8 become U+FFFD."""
        *whole, self._rest = (self._rest + piece).split(b"\n")
        if whole and self._skipping:
            del whole[0]
            self._skipping = False
        good = [line for line in whole if len(line) <= self.longest]
        self.too_long += len(whole) - len(good)
        if len(self._rest) > self.longest:
            self.too_long += not self._skipping
            self._rest, self._skipping = b"", True
        return [line.decode("utf-8", "replace").strip("\r") for line in good]
