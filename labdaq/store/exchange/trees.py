"""A scan in a tree of datasets with the structure of NeXus: HDF5 and Zarr."""

from collections.abc import Container, Iterable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from labdaq.files import NexusFile
from labdaq.store.encoding import to_json_text
from labdaq.store.exchange.fallback import SHAPES
from labdaq.store.exchange.selection import Selected, about, batches, is_scalar, label_of, native, unit_of
from labdaq.store.exchange.times import ended_ns
from labdaq.store.states import ScanState

if TYPE_CHECKING:
    from labdaq.store.scan import Scan

__all__ = ["safe_names", "write_tree"]

ENTRY = "entry"
_TAKEN = ["zarr.json"]  # by Zarr itself, in each of its folders


def write_tree(scan: "Scan", file: NexusFile, selected: list[Selected]) -> dict[str, str]:
    """Write streams as datasets of one entry; the paths of these by the names of the streams."""
    told = about(scan)
    start = datetime.fromtimestamp(scan.created_ns / 1e9, UTC)
    end = datetime.fromtimestamp(ended_ns(scan) / 1e9, UTC) if scan.state >= ScanState.STOPPED else None
    title = f"{told['name']} {told['number']}"
    file.entry(ENTRY, title=title, start_time=start, end_time=end, attributes={k: told[k] for k in told if k != "name"})
    flat = {s.name for s in selected if _has_shapes(s)}
    names = safe_names([s.name for s in selected], taken=_TAKEN, with_shapes=flat)
    for s in selected:
        _write(file, names[s.name], s)
    _plot(scan, file, selected, names)
    return {name: f"{ENTRY}/measurement/{place}" for name, place in names.items()}


def safe_names(names: Iterable[str], taken: Iterable[str] = (), with_shapes: Container[str] = ()) -> dict[str, str]:
    """Names of streams as names in a file, where a slash would be a folder; each one once.

    Parameters
    ----------
    names
        Of the streams.
    taken
        Names that are used for something else.
    with_shapes
        Streams that need the same name with ``.shapes``, too.

    Examples
    --------
    >>> safe_names(["a/b", "a_b", ".x", ".", ".."])
    {'a/b': 'a_b', 'a_b': 'a_b_', '.x': 's_x', '.': 's_', '..': 's__'}
    """
    used, found = set(taken), {}
    for name in names:
        safe = name.replace("/", "_").replace("\\", "_")
        if safe.startswith((".", "__")) or safe == "_":  # which would become "__" when it is made unique
            safe = "s_" + safe.lstrip("._")
        endings = ("", SHAPES) if name in with_shapes else ("",)
        while any(safe + ending in used for ending in endings):
            safe += "_"
        used.update(safe + ending for ending in endings)
        found[name] = safe
    return found


def _has_shapes(selected: Selected) -> bool:
    """Whether more than the first axis of the points varies: then they are kept flat, with their shapes."""
    return -1 in (selected.stream.shape or ())[1:]


def _write(file: NexusFile, name: str, selected: Selected) -> None:
    stream, is_new = selected.stream, True
    is_ragged = stream.shape is not None and -1 in stream.shape
    options: dict[str, Any] = {"units": _units(stream), "attributes": _attributes(selected)}
    for _start, points in batches(selected):
        data = _as_data(points, is_flat=_has_shapes(selected))
        if is_new:
            file.dataset(name, data, ragged=is_ragged, **options)
        else:
            file.append(name, data)
        if _has_shapes(selected):
            _add(file, name + SHAPES, np.array([point.shape for point in points], np.int64), is_new=is_new)
        is_new = False
    if is_new:
        file.dataset(name, _nothing(stream), **options)


def _add(file: NexusFile, name: str, data: Any, *, is_new: bool) -> None:
    (file.dataset if is_new else file.append)(name, data)


def _nothing(stream: Any) -> Any:
    """No points of a stream."""
    if stream.dtype is None:
        return np.empty(0, object)
    return _as_data(np.empty((0, *stream.shape) if -1 not in stream.shape else 0, stream.dtype))


def _as_data(points: Any, *, is_flat: bool = False) -> Any:
    """Points as a file takes them: in the order of this machine, times as integers, JSON as texts."""
    if isinstance(points, list):
        if not all(isinstance(point, np.ndarray) for point in points):
            return [to_json_text(point) for point in points]
        return [_as_data(point.reshape(-1) if is_flat else point) for point in points]
    points = native(points)
    return points.view(np.int64) if points.dtype.kind in "mM" else points


def _units(stream: Any) -> str | None:
    if stream.dtype is None or stream.dtype.kind not in "mM":
        return unit_of(stream)
    unit, count = np.datetime_data(stream.dtype)
    step = unit if count == 1 else f"{count} {unit}"
    return f"{step} since 1970-01-01T00:00:00Z" if stream.dtype.kind == "M" else step


def _attributes(selected: Selected) -> dict[str, Any]:
    """What to tell about a dataset: its info, and what the file would not show otherwise."""
    stream = selected.stream
    told: dict[str, Any] = {"stream": stream.name, "info": to_json_text(dict(stream.info))}
    if (label := label_of(stream)) is not None:
        told["long_name"] = label
    if stream.dtype is None:
        told["encoding"] = "JSON"
    elif stream.dtype.kind in "mM":
        told["dtype"] = stream.dtype.newbyteorder("=").str
    if selected.start:
        told["first_index"] = selected.start
    own = {key: value for key, value in stream.info.items() if _is_name(key) and key not in _RESERVED | told.keys()}
    return own | told


_RESERVED = {"unit", "units", "label", "target", "ragged", "NX_class", "first_index", "signal", "axes", "default"}


def _is_name(key: str) -> bool:
    return key.isprintable() and 0 < len(key) <= 100 and key[0].isalpha()


def _plot(scan: "Scan", file: NexusFile, selected: list[Selected], names: Mapping[str, str]) -> None:
    """Have a plot shown first: that of the info of the scan if it can be drawn, else of the first stream of numbers."""
    drawn = {s.name: s for s in selected if is_scalar(s.stream) and s.npoint}
    wish = scan.info.get("plot")
    x, y = (wish.get("x"), wish.get("y")) if isinstance(wish, Mapping) else (None, None)
    if not (isinstance(y, str) and y in drawn):
        x, y = None, next(iter(drawn), None)
    if y is None:
        return
    axes = [x] if isinstance(x, str) and x in drawn and _rows(drawn[x]) == _rows(drawn[y]) else []
    file.plot(names[y], [names[axis] for axis in axes])


def _rows(selected: Selected) -> tuple[int, int]:
    return selected.start, selected.stop
