"""Scans as files, of the format that the suffix of the path says.

======================== ======= ==================================================================================
suffix                   format  holds
======================== ======= ==================================================================================
``.h5 .hdf5 .nxs``       HDF5    all streams, in the structure of NeXus, with a plot to be shown first
``.zarr``                Zarr    the same, in a folder
``.parquet``             Parquet streams of one length, as `labdaq.store.exchange.interchange.to_arrow` does
``.csv .txt``            CSV     streams of one length, of real numbers and times; ``.txt`` has tabs
``.npz``                 NPZ     all but ragged streams; the only one for which all must fit in memory
======================== ======= ==================================================================================

A file has its name only when it is complete.
"""

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from labdaq.errors import LayoutError, ResourceError, StateError
from labdaq.files import Hdf5File, NexusFile, ZarrFile
from labdaq.files.place import discard, part_of, put_in_place
from labdaq.files.table import PathLike, check_free
from labdaq.store.exchange.fallback import FILES
from labdaq.store.exchange.selection import Selected, aligned, select
from labdaq.store.exchange.tables import write_csv, write_npz, write_parquet
from labdaq.store.exchange.trees import write_tree
from labdaq.store.states import ScanState

if TYPE_CHECKING:
    from labdaq.store.scan import Scan

__all__ = ["Exported", "export"]


@dataclass(frozen=True)
class Exported:
    """What was written."""

    path: Path
    kind: str
    """The format, such as ``HDF5``."""
    npoint: Mapping[str, int]
    """How many points of each stream."""
    first: Mapping[str, int]
    """Index of the first of them; 0 unless points were trimmed."""
    places: Mapping[str, str] = field(default_factory=dict)
    """Name of each stream in the file: path of a dataset, column, or array."""


def export(
    scan: "Scan",
    path: PathLike,
    *,
    streams: Iterable[str] | None = None,
    overwrite: bool = False,
    shortest: bool = False,
    skip_trimmed: bool = False,
    attach: bool = False,
) -> Exported:
    """Write a scan to a file: what there is of it now, if it is still being taken.

    Parameters
    ----------
    path
        The file; its suffix says the format.
    streams
        Their names; all by default.
    overwrite
        Replace an existing file; without it that is an error.
    shortest
        Tables only: cut all streams to the shortest.
    skip_trimmed
        Go on without points that were trimmed; `Exported.first` tells where streams begin.
    attach
        Note in the info of the scan where the file is, so that its points are found there when they are trimmed. For
        HDF5 and Zarr, of a scan that is driven here, after `stop` and before `close`.

    Raises
    ------
    LayoutError
        The format is unknown, or does not hold these streams; lists those that do.
    IndexNoMoreThereError
        Points were trimmed.
    ResourceError
        The file exists, or cannot be written. Nothing is left then.
    MissingExtraError
        The package for this format is not installed.

    Examples
    --------
    >>> import tempfile
    >>> from labdaq.files import read_hdf5
    >>> from labdaq.store import DataStore, NumericStreamEncoder
    >>> path = Path(tempfile.mkdtemp()) / "muon.h5"
    >>> with DataStore("memory://") as store:
    ...     scan = store.create_scan({"name": "muon", "number": 1, "data_policy": "none"})
    ...     scan.create_stream("delay", NumericStreamEncoder(float), {"unit": "us"}).send([2.2, 0.7])
    ...     places = export(scan, path).places
    >>> read_hdf5(path, places["delay"])
    array([2.2, 0.7])
    """
    target = Path(path)
    kind = _kind_of(target)
    if attach:
        _check_attachable(scan, kind)
    selected = select(scan, streams, skip_trimmed=skip_trimmed)
    if kind in _TABLES:
        selected = _rows(selected, kind, shortest)
    _check_fits(selected, kind)
    with _all_or_nothing(target, kind, overwrite=overwrite):
        places = _WRITERS[kind](scan, target, selected, overwrite)
    done = Exported(target, kind, {s.name: s.npoint for s in selected}, {s.name: s.start for s in selected}, places)
    if attach:
        _attach(scan, done)
    return done


# ---- which format


def _kind_of(path: Path) -> str:
    suffix = path.suffix.lower()
    if suffix not in _SUFFIXES:
        raise LayoutError(f"{path.name}: the suffix says the format, and is one of {', '.join(_SUFFIXES)}")
    return _SUFFIXES[suffix]


def _fits(selected: Selected, kind: str) -> bool:
    dtype: np.dtype[Any] | None = selected.stream.dtype
    shape = selected.stream.shape
    if dtype is None or shape is None:
        return kind != "CSV"
    is_usual = dtype.itemsize <= (16 if dtype.kind == "c" else 8)  # no more digits than those
    if kind == "CSV":
        return shape == () and dtype.kind in "biufM"
    if kind == "Parquet":
        return is_usual and (dtype.kind not in "mM" or np.datetime_data(dtype) in _PARQUET_TIMES)
    if kind == "Zarr":
        return is_usual
    return kind != "NPZ" or -1 not in shape


def _check_fits(selected: list[Selected], kind: str) -> None:
    wrong = [s for s in selected if not _fits(s, kind)]
    if wrong:
        names = ", ".join(f"{s.name} ({s.stream.encoder!r})" for s in wrong)
        raise LayoutError(f"{kind} does not hold {names}. {_others(selected)}")


def _others(selected: list[Selected]) -> str:
    """Which formats hold these streams, as a sentence."""
    is_table = len({s.stop for s in selected}) <= 1
    kinds = [k for k in _WRITERS if (is_table or k not in _TABLES) and all(_fits(s, k) for s in selected)]
    suffixes = [suffix for suffix, kind in _SUFFIXES.items() if kind in kinds]
    return f"These do: {', '.join(suffixes)}; or name streams that fit"


def _rows(selected: list[Selected], kind: str, shortest: bool) -> list[Selected]:
    if not selected:
        raise LayoutError(f"this scan has no streams, and a table ({kind}) without columns is none")
    try:
        return aligned(selected, shortest=shortest)
    except LayoutError as error:
        raise LayoutError(f"{error}. {_others(selected)}") from None


# ---- how it gets to its place


@contextlib.contextmanager
def _all_or_nothing(path: Path, kind: str, *, overwrite: bool) -> Iterator[None]:
    """Look whether a file may be made here; if that fails later, nothing is left of it."""
    check_free(path, overwrite=overwrite)
    if path.is_dir() and not (kind == "Zarr" and any((path / name).is_file() for name in ("zarr.json", ".zgroup"))):
        raise ResourceError(f"{path} is a folder, which is not replaced")
    if not os.access(path.absolute().parent, os.W_OK | os.X_OK):
        raise ResourceError(f"{path.absolute().parent} is no folder in which files may be made")
    try:
        yield
    except BaseException as error:
        discard(path)
        if isinstance(error, OSError) and error.errno is not None and not isinstance(error, ResourceError):
            raise ResourceError.of(error, "writing the file", path) from error
        raise


# ---- where it is, for those who look for trimmed points


def _check_attachable(scan: "Scan", kind: str) -> None:
    if kind not in _TREES:
        raise LayoutError(f"points are looked for in HDF5 and Zarr files; {kind} cannot be attached")
    if not scan.is_writable or scan.state != ScanState.STOPPED:
        raise StateError(
            "attach=True notes the file in the info of the scan: whoever drives it can do that between stop() and "
            f"close(); here it is {scan.state.name}{'' if scan.is_writable else ', and loaded to be read'}"
        )


def _attach(scan: "Scan", done: Exported) -> None:
    known = scan.info.get(FILES)
    path = str(done.path.absolute())
    new = {name: {"file_path": path, "data_path": place} for name, place in done.places.items()}
    scan.info[FILES] = {**(known if isinstance(known, dict) else {}), **new}


# ---- the formats


Writer = Callable[["Scan", Path, list[Selected], bool], dict[str, str]]


def _tree(kind: type[NexusFile]) -> Writer:
    """How a tree is written: the file takes care of its part."""

    def write(scan: "Scan", path: Path, selected: list[Selected], overwrite: bool) -> dict[str, str]:
        file = kind(path, overwrite=overwrite)
        try:
            places = write_tree(scan, file, selected)
            file.close()
        except BaseException:
            file.discard()
            raise
        return places

    return write


def _whole(write_part: Callable[["Scan", Path, list[Selected]], dict[str, str]]) -> Writer:
    """How any other file is written: beside its place, and moved there when it is complete."""

    def write(scan: "Scan", path: Path, selected: list[Selected], overwrite: bool) -> dict[str, str]:
        discard(path)
        places = write_part(scan, part_of(path), selected)
        put_in_place(path, overwrite=overwrite)
        return places

    return write


_SUFFIXES = {
    ".h5": "HDF5",
    ".hdf5": "HDF5",
    ".nxs": "HDF5",
    ".zarr": "Zarr",
    ".parquet": "Parquet",
    ".csv": "CSV",
    ".txt": "CSV",
    ".npz": "NPZ",
}
_TREES = {"HDF5", "Zarr"}
_PARQUET_TIMES = {("s", 1), ("ms", 1), ("us", 1), ("ns", 1)}
_TABLES = {"Parquet", "CSV"}
_WRITERS: dict[str, Writer] = {
    "HDF5": _tree(Hdf5File),
    "Zarr": _tree(ZarrFile),
    "Parquet": _whole(write_parquet),
    "CSV": _whole(write_csv),
    "NPZ": _whole(write_npz),
}
