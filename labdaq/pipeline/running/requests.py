"""What other processes ask of a run: commands, values of parameters, notes; and the answers.

Each request is a small file in the folder ``requests`` of the run. Its name begins with the time, so that requests
are heard in the order in which they were made, and it gets it when it is complete: of two that are made at the same
moment both are heard. Beside it the run puts its answer: nothing, or the error that the same call raises in the
process of the run. Who asked raises it, and takes the answer away.
"""

import contextlib
import itertools
import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from labdaq import errors
from labdaq.errors import LabdaqError, LayoutError, ResourceError, StateError, WaitTimeoutError

__all__ = ["Request", "answered", "ask", "requests_in"]

_FOLDER = "requests"
_LARGEST = 1 << 16
_LOOK_S = 0.005
_PLAIN = (str, int, float, type(None))
_numbers = itertools.count()


class Request(NamedTuple):
    """Something that was asked of a run."""

    path: Path
    """Where it stood."""
    wish: dict[str, Any]

    def answer(self, error: LabdaqError | None = None) -> None:
        """Say that it was done, or why it was not."""
        said = {} if error is None else {"error": type(error).__name__, "text": str(error)}
        _put(self.path.with_suffix(".answer"), said)


def ask(folder: Path, wish: dict[str, Any]) -> Path:
    """Ask the run in a folder for something; the file, which is removed when it was heard.

    Raises
    ------
    ResourceError
        The system refuses the file.
    """
    path = folder / _FOLDER / f"{time.time_ns():020}-{os.getpid()}-{next(_numbers)}.json"
    _put(path, wish)
    return path


def _put(path: Path, content: dict[str, Any]) -> None:
    part = path.with_suffix(f"{path.suffix}.part")
    try:
        path.parent.mkdir(exist_ok=True)
        part.write_text(json.dumps(content, default=_plain), encoding="utf-8")
        part.replace(path)
    except OSError as error:
        raise ResourceError.of(error, "asking the run for something", path) from error


def _plain(value: Any) -> Any:
    """Numbers of NumPy as JSON holds them."""
    if hasattr(value, "item"):
        return value.item()
    raise LayoutError(f"{value!r:.60} cannot go to the process of a run: numbers, texts and switches can")


def answered(path: Path, what: str, patience_s: float, is_alive: Callable[[], bool]) -> None:
    """Wait for the answer to a request.

    Parameters
    ----------
    path
        From `ask`.
    what
        For messages: what was asked for.
    patience_s
        So long; seconds.
    is_alive
        Whether there is still somebody who may answer.

    Raises
    ------
    LabdaqError
        What the run says: the kind of error that it is there.
    StateError
        The run ended before it heard.
    WaitTimeoutError
        Nobody answered in time; the request was taken back.
    """
    answer, deadline = path.with_suffix(".answer"), time.monotonic() + patience_s
    while not answer.exists():
        is_late = time.monotonic() > deadline
        if is_late or not (is_alive() or answer.exists()):
            with contextlib.suppress(OSError):
                path.unlink()
            if is_late:
                raise WaitTimeoutError(f"the run did not hear of {what} in {patience_s:g} s")
            raise StateError(f"{what} is not possible: the run is over")
        time.sleep(_LOOK_S)
    try:
        said = json.loads(answer.read_text(encoding="utf-8"))
        answer.unlink()
    except (OSError, ValueError) as error:
        raise ResourceError(f"the answer of the run to {what} cannot be read: {error}") from error
    if said:
        kind = getattr(errors, str(said.get("error")), LabdaqError)
        raise kind(said.get("text", ""))


def requests_in(folder: Path) -> Iterator[Request]:
    """What was asked for since the last look, oldest first; what cannot be read, as a wish that nobody can fulfil.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> path = ask(folder, {"parameter": "find.level", "value": 40})
    >>> [request.wish for request in requests_in(folder)], list(requests_in(folder))
    ([{'parameter': 'find.level', 'value': 40}], [])
    """
    try:
        paths = sorted((folder / _FOLDER).glob("*.json"))
    except OSError:
        return
    for path in paths:
        try:
            wish = _wish_in(path)
            path.unlink()
        except OSError:  # who asked took it back
            continue
        yield Request(path, wish)


def _wish_in(path: Path) -> dict[str, Any]:
    """What a file asks for; what is wrong with it where it asks for nothing."""
    with path.open("rb") as file:
        content = file.read(_LARGEST + 1)
    if len(content) > _LARGEST:
        return {"unreadable": f"longer than {_LARGEST} bytes"}
    try:
        wish = json.loads(content)
    except (ValueError, RecursionError) as error:
        return {"unreadable": str(error)}
    is_plain = isinstance(wish, dict) and all(isinstance(one, _PLAIN) for one in wish.values())
    return wish if is_plain else {"unreadable": "neither names nor plain values"}
