"""Wishes of other processes that take more than a word of the board: parameters to be changed.

Each is a small file in the folder ``requests`` of the run, which gets its name when it is complete, and is removed
when it was heard. What became of it stands in the log of the run.
"""

import itertools
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from labdaq.errors import ResourceError

__all__ = ["ask", "requests_in"]

_FOLDER = "requests"
_LARGEST = 1 << 16
_numbers = itertools.count()


def ask(folder: Path, request: dict[str, Any]) -> Path:
    """Ask the run in a folder for something; the file, which is removed when it was heard.

    Raises
    ------
    ResourceError
        The system refuses the file.
    """
    place = folder / _FOLDER
    path = place / f"{os.getpid()}-{next(_numbers)}.json"
    part = path.with_suffix(".part")
    try:
        place.mkdir(exist_ok=True)
        part.write_text(json.dumps(request), encoding="utf-8")
        part.replace(path)
    except OSError as error:
        raise ResourceError.of(error, "asking the run for something", path) from error
    return path


def requests_in(folder: Path) -> Iterator[dict[str, Any]]:
    """What was asked for since the last look, oldest first; what cannot be read is passed over.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> path = ask(folder, {"parameter": "find.level", "value": 40})
    >>> list(requests_in(folder)), list(requests_in(folder))
    ([{'parameter': 'find.level', 'value': 40}], [])
    """
    try:
        paths = sorted((folder / _FOLDER).glob("*.json"), key=lambda path: path.stat().st_mtime_ns)
    except OSError:
        return
    for path in paths:
        try:
            with path.open("rb") as file:
                request = json.loads(file.read(_LARGEST))
            path.unlink()
        except (OSError, ValueError):
            continue
        if isinstance(request, dict):
            yield request
