"""A few arrays and their metadata in one file for NumPy, with nothing pickled."""

import json
import tokenize
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from labdaq.errors import DataError, LayoutError, ResourceError
from labdaq.files.place import discard, part_of, put_in_place
from labdaq.files.table import LARGEST, PathLike, check_free, check_size, reading

__all__ = ["Arrays", "read_npz", "write_npz"]

_METADATA = "metadata"
_DAMAGED = (ValueError, KeyError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error, tokenize.TokenError)


@dataclass(frozen=True)
class Arrays:
    """What was read from a file."""

    arrays: dict[str, npt.NDArray[Any]]
    """Arrays by name."""
    metadata: Any
    """What was told about them; empty if nothing was."""


def write_npz(
    path: PathLike,
    arrays: Mapping[str, npt.ArrayLike],
    metadata: Mapping[str, Any] | None = None,
    *,
    overwrite: bool = False,
    compress: bool = False,
) -> None:
    """Write arrays to a file that ``numpy.load`` can read.

    The file gets its name when it is complete.

    Parameters
    ----------
    path : path-like
        The file.
    arrays : mapping of str to array-like
        Numbers, texts, times or records, by a name other than ``metadata``.
    metadata : mapping, optional
        What to tell about them; kept as a JSON text in the array ``metadata``.
    overwrite : bool
        Replace an existing file; without it that is an error.
    compress : bool
        Take less place and more time.

    Raises
    ------
    LayoutError
        If an array holds Python objects, or the metadata has no JSON.
    ResourceError
        If the file exists, or the system refuses to write it. Nothing is left then.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "pulse.npz"
    >>> write_npz(path, {"height": [0.5, 0.25]}, {"unit": "V"})
    >>> read_npz(path)
    Arrays(arrays={'height': array([0.5 , 0.25])}, metadata={'unit': 'V'})
    """
    file = Path(path)
    content = _checked(arrays, metadata)
    check_free(file, overwrite=overwrite)
    kind = zipfile.ZIP_DEFLATED if compress else zipfile.ZIP_STORED
    try:
        with part_of(file).open("wb") as opened, zipfile.ZipFile(opened, "w", kind) as archive:
            for name, array in content.items():
                with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                    np.lib.format.write_array(member, array, allow_pickle=False)
    except OSError as error:
        discard(file)
        raise ResourceError.of(error, "writing the file", file) from error
    put_in_place(file, overwrite=overwrite)


def _checked(arrays: Mapping[str, npt.ArrayLike], metadata: Mapping[str, Any] | None) -> dict[str, npt.NDArray[Any]]:
    content = {name: np.asarray(array) for name, array in arrays.items()}
    for name, array in content.items():
        if array.dtype.hasobject:
            raise LayoutError(f"array {name!r} holds Python objects; a file takes numbers, texts and times")
        if name == _METADATA or not name or any(c in name for c in "/\\\0"):
            raise LayoutError(f"{name!r} is no name for an array: it is taken, or no name of a file")
    try:
        text = json.dumps(dict(metadata or {}))
    except (TypeError, ValueError) as error:
        raise LayoutError(f"the metadata cannot be written as JSON: {error}") from error
    return content if metadata is None else content | {_METADATA: np.array(text)}


def read_npz(path: PathLike, *, limit: int = LARGEST) -> Arrays:
    """Read arrays, written by :func:`write_npz` or by NumPy.

    Parameters
    ----------
    path : path-like
        The file.
    limit : int
        Bytes of memory that the arrays may take.

    Returns
    -------
    Arrays
        The arrays and their metadata.

    Raises
    ------
    ResourceError
        If the file cannot be read.
    DataError
        If it is no such file, holds pickled objects, or more than the limit.
    """
    file = Path(path)
    with reading(file, "a file of arrays", *_DAMAGED), file.open("rb") as opened:
        with zipfile.ZipFile(opened) as archive:
            check_size(sum(member.file_size for member in archive.infolist()), limit, str(file))
        opened.seek(0)
        with np.load(opened, allow_pickle=False) as found:
            arrays = {name: found[name] for name in found.files}
    for name, array in arrays.items():
        if not isinstance(array, np.ndarray):
            raise DataError(f"{file}: {name!r} is no array")
    with reading(file, "a file of arrays with metadata as JSON", ValueError, RecursionError):
        told = arrays.pop(_METADATA, None)
        return Arrays(arrays, {} if told is None else json.loads(str(told)))
