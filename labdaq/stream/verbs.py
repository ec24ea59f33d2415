"""What may be asked of a node in another process: a fixed set of verbs, in short messages of JSON.

A message is its length in four bytes and an object. Values are those of JSON, and dtypes and keys, which are taken
apart and put together again field by field. Nothing is unpickled, imported or evaluated.
"""

import json
import struct
from enum import StrEnum
from typing import Any

import numpy as np

from labdaq import errors
from labdaq.errors import DataError, EndOfDataError, LabdaqError, LayoutError, StateError
from labdaq.stream.keys import StreamKeys
from labdaq.stream.layouts import checked_dtype, dtype_from_json, dtype_to_json

__all__ = ["Verb", "error_from", "error_to_json", "exactly", "from_json", "pack", "read", "to_json"]

MOST_NBYTES = 60_000
"""No message is longer: it fits into a pipe, so that nobody waits for one who does not read."""

_LENGTH = struct.Struct(">I")
_MOST_DEPTH = 16
_ERRORS: dict[str, type[LabdaqError]] = {name: getattr(errors, name) for name in errors.__all__}


class Verb(StrEnum):
    """All that can be asked."""

    CONFIGURE = "configure"
    CONNECT = "connect"
    """An input, to an address."""
    OPEN = "open"
    """Configure an output."""
    INITIALIZE = "initialize"
    START = "start"
    STOP = "stop"
    STATISTICS = "statistics"
    CLOSE = "close"


def pack(content: dict[str, Any]) -> bytes:
    """A message.

    Raises
    ------
    LayoutError
        It would be too long.
    """
    body = json.dumps(content, allow_nan=False).encode()
    if len(body) > MOST_NBYTES:
        raise LayoutError(f"a message of {len(body)} bytes, and {MOST_NBYTES} are allowed: give fewer settings")
    return _LENGTH.pack(len(body)) + body


def read(pipe: Any) -> dict[str, Any]:
    """The next message from a file that blocks.

    Raises
    ------
    EndOfDataError
        The other side has closed it.
    DataError
        It is no message.

    Examples
    --------
    >>> import io
    >>> read(io.BytesIO(pack({"verb": "start"})))
    {'verb': 'start'}
    """
    (nbytes,) = _LENGTH.unpack(exactly(pipe, _LENGTH.size))
    if nbytes > MOST_NBYTES:
        raise DataError(f"a message of {nbytes} bytes, and {MOST_NBYTES} are allowed")
    try:
        content = json.loads(exactly(pipe, nbytes))
    except (ValueError, RecursionError) as error:
        raise DataError(f"no JSON in a message: {error}") from error
    if not isinstance(content, dict):
        raise DataError("a message holds an object")
    return content


def exactly(pipe: Any, nbytes: int) -> bytes:
    """So many bytes from a file that blocks and is not buffered.

    Raises
    ------
    EndOfDataError
        The other side has closed it before.
    """
    parts = []
    while nbytes > 0:
        part = pipe.read(nbytes)
        if not part:
            raise EndOfDataError("the other process has closed its end")
        parts.append(part)
        nbytes -= len(part)
    return b"".join(parts)


def to_json(value: Any, depth: int = 0) -> Any:
    """A setting as it travels.

    Raises
    ------
    LayoutError
        It is no value of JSON, no dtype and no keys.

    Examples
    --------
    >>> to_json({"dtype": np.dtype("f4"), "shape": (-1, 2)})
    {'dtype': {'=dtype': '<f4'}, 'shape': [-1, 2]}
    """
    if depth > _MOST_DEPTH:
        raise LayoutError("settings within settings without end")
    if isinstance(value, np.generic) and value.dtype.kind in "biufU":
        value = value.item()
    if value is None or isinstance(value, bool | int | str) or (isinstance(value, float) and np.isfinite(value)):
        return value
    if isinstance(value, np.dtype | type):
        return {"=dtype": dtype_to_json(checked_dtype(value))}
    if isinstance(value, StreamKeys):
        return {"=keys": [value.public, value.secret]}
    if isinstance(value, list | tuple):
        return [to_json(one, depth + 1) for one in value]
    if isinstance(value, dict) and all(isinstance(key, str) and not key.startswith("=") for key in value):
        return {key: to_json(one, depth + 1) for key, one in value.items()}
    raise LayoutError(
        f"{value!r:.60} cannot be a setting of a node in another process: numbers, texts, lists, objects and dtypes can"
    )


def from_json(value: Any) -> Any:
    """The setting that `to_json` described.

    Raises
    ------
    DataError
        It describes none.

    Examples
    --------
    >>> from_json(to_json([np.dtype("f4"), 3]))
    [dtype('float32'), 3]
    """
    if isinstance(value, list):
        return [from_json(one) for one in value]
    if not isinstance(value, dict):
        return value
    if set(value) == {"=dtype"}:
        return dtype_from_json(value["=dtype"])
    if set(value) == {"=keys"}:
        try:
            return StreamKeys(*value["=keys"])
        except (TypeError, LayoutError) as error:
            raise DataError("keys that are none") from error
    return {key: from_json(one) for key, one in value.items()}


def error_to_json(error: BaseException, doing: str) -> list[str]:
    """What went wrong, as it travels: its class, if it is one of labdaq, and its text."""
    if isinstance(error, LabdaqError) and type(error).__name__ in _ERRORS:
        return [type(error).__name__, str(error)[:2000]]
    return [StateError.__name__, f"{doing} raised {type(error).__name__}: {error}"[:2000]]


def error_from(told: Any) -> LabdaqError:
    """The error that the other process told of; its text only, if its class is not known.

    Examples
    --------
    >>> error_from(error_to_json(ValueError("no gain"), "start()"))
    StateError('start() raised ValueError: no gain')
    """
    kind, text = told if isinstance(told, list) and len(told) == 2 else ("", told)
    return _ERRORS.get(str(kind), DataError)(str(text))
