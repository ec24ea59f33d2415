"""What a table of text looks like: its separator, its comments and its headings.

Found by looking: the separator is the one at which the headings and the first line of values fall into the
same number of cells. Headings may follow a ``#``, as numerical programs write them, and lines of comment may
come before them.
"""

import csv
import io
from collections.abc import Mapping
from pathlib import Path

from labdaq.errors import DataError, LayoutError, NotFoundError

__all__ = ["SEPARATORS", "check_separator", "rows_of", "split_heading", "with_names"]

SEPARATORS = (",", "\t", ";", " ")
"""What stands between cells; the blank is any stretch of blanks and tabs."""

Row = tuple[int, list[str]]


def check_separator(separator: str | None) -> None:
    """Raise LayoutError if this is no separator that we know."""
    if separator is not None and separator not in SEPARATORS:
        known = ", ".join(map(repr, SEPARATORS))
        raise LayoutError(f"cells are separated by one of {known}, not by {separator!r}")


def rows_of(text: str, path: Path, separator: str | None = None) -> tuple[list[str], list[Row]]:
    r"""Take a table of text apart.

    Parameters
    ----------
    text : str
        Whole lines.
    path : Path
        Where they come from, for messages.
    separator : str, optional
        One of :data:`SEPARATORS`; by default it is found.

    Returns
    -------
    headings : list of str
    rows : list of tuple (int, list of str)
        Number of the line and cells.

    Raises
    ------
    DataError
        If there are no headings, or a line has more or fewer cells than they.

    Examples
    --------
    >>> rows_of("# n  height\n1 2.5\n", Path("x.txt"))
    (['n', 'height'], [(2, ['1', '2.5'])])
    """
    check_separator(separator)
    text = text.removeprefix("\ufeff")  # some spreadsheets begin with it
    comments = _comments(text)
    heading, body = _heading(text, comments)
    found = separator or _find_separator(heading, body)
    headings = [title.strip() for title in _first(heading, found)]
    if not headings or not all(headings):
        raise DataError(f"{path} does not begin with a line of names")
    skipped = text[: len(text) - len(body)].count("\n")
    try:
        rows = [(number + skipped, cells) for number, cells in _cells(body, found)]
    except csv.Error as error:
        raise DataError(f"{path} is not a table of text: {error}") from error
    for number, cells in rows:
        if len(cells) != len(headings):
            raise DataError(f"{path}, line {number}: {len(cells)} values for {len(headings)} fields")
    return headings, rows


def _comments(text: str) -> list[str]:
    """Lines at the beginning that follow a ``#``."""
    found = []
    for line in io.StringIO(text):
        if not line.startswith("#"):
            break
        found.append(line)
    return found


def _heading(text: str, comments: list[str]) -> tuple[str, str]:
    """Line of headings, and all lines below."""
    body = text[sum(map(len, comments)) :]
    first = body.partition("\n")[0]
    if comments and (not first or any(_is_number(cell) for s in SEPARATORS for cell in _first(first, s))):
        return comments[-1].lstrip("#"), body
    end = _end_of_record(body)
    return body[:end], body[end:]


def _end_of_record(text: str) -> int:
    """Where the first line ends; line breaks in quotes belong to it."""
    lines = io.StringIO(text)
    taken = 0
    quotes = 0
    for line in lines:
        taken += len(line)
        quotes += line.count('"')
        if quotes % 2 == 0:
            break
    return taken


def _find_separator(heading: str, body: str) -> str:
    first = body[: _end_of_record(body)]
    for separator in SEPARATORS[:-1]:
        if len(_first(heading, separator)) == len(_first(first or heading, separator)) > 1:
            return separator
    blanks = len(_first(heading, " "))
    if blanks == len(_first(first, " ")) > 1 and all(map(_is_number, _first(first, " "))):
        return " "
    counts = {separator: len(_first(heading, separator)) for separator in SEPARATORS[:-1]}
    return max(counts, key=lambda separator: counts[separator])


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _first(text: str, separator: str) -> list[str]:
    try:
        return next((cells for _, cells in _cells(text, separator)), [])
    except csv.Error:
        return []


def _cells(text: str, separator: str) -> list[Row]:
    """Number of each line, from 1 on, and its cells; empty lines are left out."""
    if separator == " ":
        lines = enumerate(text.split("\n"), start=1)
        return [(number, line.split()) for number, line in lines if line.strip()]
    reader = csv.reader(io.StringIO(text), delimiter=separator)
    return [(reader.line_num, cells) for cells in reader if cells]


def split_heading(heading: str) -> tuple[str, str | None]:
    """Name and unit of a heading.

    Examples
    --------
    >>> split_heading("delay [us]"), split_heading("n")
    (('delay', 'us'), ('n', None))
    """
    name, _, unit = heading.partition(" [")
    return name, unit[:-1] if unit.endswith("]") else None


def with_names(headings: list[str], titles: Mapping[str, str], path: Path) -> tuple[list[str], dict[str, str]]:
    """Names of the fields under some headings, and their units.

    Raises
    ------
    NotFoundError
        If a title, and the name it stands for, are both missing.
    DataError
        If two headings name the same field.

    Examples
    --------
    >>> with_names(["n", "Decay time (us)"], {"decay_time": "Decay time (us)"}, Path("x.txt"))
    (['n', 'decay_time'], {})
    """
    untitled = {title: name for name, title in titles.items()}
    names, units = [], {}
    for heading in headings:
        name, unit = split_heading(heading)
        names.append(untitled.get(heading, untitled.get(name, name)))
        if unit is not None:
            units[names[-1]] = unit
    missing = [f"{title!r}" for name, title in titles.items() if name not in names]
    if missing:
        raise NotFoundError(f"{path} has no column {', '.join(missing)}; there are {', '.join(headings)}")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DataError(f"{path} has several columns {', '.join(twice)}")
    return names, units
