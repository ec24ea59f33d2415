"""Scans for other libraries: pandas, xarray and Arrow.

Of one rule for all: a table has one row for each point index, so its streams must have the same length. Points are
copied, so the result outlives the store.

=============== =================================== ========================== ==============================
stream          pandas                              xarray                     Arrow
=============== =================================== ========================== ==============================
numbers         column                              ``(point,)``               column; complex: ``re``, ``im``
vectors, images column of arrays                    ``(point, …)``             fixed-size lists, see below
ragged          column of arrays                    array of arrays            lists of any length
JSON            column of objects                   array of objects           column of JSON texts
=============== =================================== ========================== ==============================

Arrays in Arrow are flat lists, whose shape is in the metadata of their field, as in the Parquet files of
`labdaq.files`.
"""

import importlib
from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from labdaq.errors import MissingExtraError
from labdaq.files.columns import plain
from labdaq.store.encoding import to_json_text
from labdaq.store.exchange.arrow import arrow_column
from labdaq.store.exchange.frames import is_reference, resolve_frames
from labdaq.store.exchange.selection import Selected, about, aligned, label_of, native, select, unit_of

if TYPE_CHECKING:
    from labdaq.files.table import PathLike
    from labdaq.store.scan import Scan

__all__ = ["to_arrow", "to_pandas", "to_xarray"]

Names = Iterable[str] | None


def to_pandas(
    scan: "Scan",
    names: Names = None,
    *,
    shortest: bool = False,
    skip_trimmed: bool = False,
    root: "PathLike | None" = None,
) -> Any:
    """Streams as a DataFrame, whose index is that of the points.

    Its ``attrs`` tell the identity and the info of the scan, and ``units`` by column.

    Parameters
    ----------
    names
        Which streams; all by default.
    shortest
        Cut all to the shortest: for a scan that is still being taken, or was killed.
    skip_trimmed
        Go on without points that were trimmed; the index tells where it begins.
    root
        Read the frames that streams of references refer to, from files in this folder.

    Raises
    ------
    LayoutError
        The streams differ in length; lists the lengths.
    IndexNoMoreThereError
        Points were trimmed.
    MissingExtraError
        pandas is not installed.

    Examples
    --------
    >>> from labdaq.store import DataStore, NumericStreamEncoder
    >>> with DataStore("memory://") as store:
    ...     scan = store.create_scan({"name": "muon", "number": 1, "data_policy": "none"})
    ...     scan.create_stream("delay", NumericStreamEncoder(float), {"unit": "us"}).send([2.2, 0.7])
    ...     frame = to_pandas(scan)
    >>> frame["delay"].tolist(), frame.attrs["units"]
    ([2.2, 0.7], {'delay': 'us'})
    """
    pandas = _needed("pandas")
    selected = aligned(select(scan, names, skip_trimmed=skip_trimmed), shortest=shortest)
    start, stop = _span(selected)
    columns = {s.name: _cells(_points(s, root)) for s in selected}
    frame = pandas.DataFrame(columns, index=pandas.RangeIndex(start, stop, name="point"))
    frame.attrs.update(about(scan) | {"units": _units(selected)})
    return frame


def to_xarray(
    scan: "Scan",
    names: Names = None,
    *,
    shortest: bool = False,
    skip_trimmed: bool = False,
    root: "PathLike | None" = None,
) -> Any:
    """Streams as a Dataset; the arguments are those of `to_pandas`.

    The length that most streams have is the dimension ``point``. Streams of another length share a dimension
    ``<first of them>.point``. The axes of vectors are ``<stream>.x``, those of images ``<stream>.y`` and
    ``<stream>.x``. Units, labels and infos are attributes, in a form that NetCDF takes, too: what is neither text nor
    number is JSON.

    Examples
    --------
    >>> from labdaq.store import DataStore, NumericStreamEncoder
    >>> with DataStore("memory://") as store:
    ...     scan = store.create_scan({"name": "camera", "number": 1, "data_policy": "none"})
    ...     scan.create_stream("image", NumericStreamEncoder("u2", (2, 3))).send(np.ones((4, 2, 3), "u2"))
    ...     dict(to_xarray(scan).sizes)
    {'point': 4, 'image.y': 2, 'image.x': 3}
    """
    xarray = _needed("xarray")
    selected = select(scan, names, skip_trimmed=skip_trimmed)
    selected = aligned(selected, shortest=True) if shortest else selected
    taken = {s.name for s in selected}
    dimensions = _dimensions(selected, taken)
    variables, coordinates = {}, {}
    for s in selected:
        values, along = _for_xarray(_points(s, root)), dimensions[s.start, s.stop]
        axes = [_free(f"{s.name}.{axis}", taken) for axis in _axes(values.ndim - 1)]
        variables[s.name] = ((along, *axes), values, _attributes(s))
        if s.start:
            coordinates[along] = np.arange(s.start, s.stop)
    return xarray.Dataset(variables, coordinates, plain(about(scan)))


def to_arrow(
    scan: "Scan",
    names: Names = None,
    *,
    shortest: bool = False,
    skip_trimmed: bool = False,
    root: "PathLike | None" = None,
) -> Any:
    """Streams as an Arrow table; the arguments are those of `to_pandas`.

    Its metadata tell the identity and the info of the scan as texts and JSON; those of a field, the ``unit`` and
    the ``info`` of its stream, and how NumPy has it.

    Examples
    --------
    >>> from labdaq.store import DataStore, JsonStreamEncoder
    >>> with DataStore("memory://") as store:
    ...     scan = store.create_scan({"name": "muon", "number": 1, "data_policy": "none"})
    ...     scan.create_stream("log", JsonStreamEncoder()).send({"gain": 2})
    ...     to_arrow(scan).to_pydict()
    {'log': ['{"gain":2}']}
    """
    arrow = _needed("pyarrow")
    selected = aligned(select(scan, names, skip_trimmed=skip_trimmed), shortest=shortest)
    fields, columns = [], []
    for s in selected:
        column, told = arrow_column(_points(s, root), s)
        fields.append(arrow.field(s.name, column.type, metadata=told))
        columns.append(column)
    schema = arrow.schema(fields, metadata=metadata_of(scan, selected))
    return arrow.Table.from_arrays(columns, schema=schema)


def metadata_of(scan: "Scan", selected: list[Selected]) -> dict[str, str]:
    """What a table tells about its scan, as texts."""
    told = {key: value if isinstance(value, str) else to_json_text(value) for key, value in about(scan).items()}
    return told | {"first_index": str(_span(selected)[0])}


def _needed(package: str) -> Any:
    """Import a package of an extra."""
    extra = "store" if package == "pyarrow" else "analysis"
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise MissingExtraError(f"this conversion needs {package}: pip install 'labdaq[{extra}]'") from error


def _span(selected: list[Selected]) -> tuple[int, int]:
    return (selected[0].start, selected[0].stop) if selected else (0, 0)


def _points(selected: Selected, root: "PathLike | None") -> Any:
    """The points: a new array, or a list."""
    if root is not None and is_reference(selected.stream):
        return resolve_frames(selected.stream, selected.start, selected.stop, root=root)
    points = selected.read()
    if isinstance(points, list):
        return [np.array(native(point)) if isinstance(point, np.ndarray) else point for point in points]
    return np.array(native(points))


def _units(selected: list[Selected]) -> dict[str, str]:
    return {s.name: unit for s in selected if (unit := unit_of(s.stream)) is not None}


def _cells(points: Any) -> Any:
    """A column of a DataFrame: numbers, or objects."""
    return points if isinstance(points, np.ndarray) and points.ndim == 1 else _objects(list(points))


def _objects(values: list[Any]) -> Any:
    array = np.empty(len(values), object)
    for i, value in enumerate(values):  # at once, NumPy would take lists of one length for one array
        array[i] = value
    return array


def _for_xarray(points: Any) -> Any:
    return _objects(points) if isinstance(points, list) else points


def _dimensions(selected: list[Selected], taken: set[str]) -> dict[tuple[int, int], str]:
    """By the indices between which points are: the dimension that these streams share."""
    spans = Counter((s.start, s.stop) for s in selected)
    first = {(s.start, s.stop): s.name for s in reversed(selected)}
    usual = spans.most_common(1)[0][0] if spans else None
    return {span: _free("point" if span == usual else f"{first[span]}.point", taken) for span in spans}


def _axes(count: int) -> list[str]:
    """Names of the axes of a point."""
    return ["y", "x"][-count:] if 0 < count < 3 else [f"axis{i}" for i in range(count)]


def _free(name: str, taken: set[str]) -> str:
    """A name for a dimension that no stream and no other dimension has."""
    while name in taken:
        name += "_"
    taken.add(name)
    return name


def _attributes(selected: Selected) -> dict[str, Any]:
    """What to tell about a variable, by the names that xarray's plots look for."""
    stream = selected.stream
    named = {"units": unit_of(stream), "long_name": label_of(stream)}
    info = {key: value for key, value in stream.info.items() if key not in {"unit", "label"} | named.keys()}
    return plain(info | {key: value for key, value in named.items() if value is not None})
