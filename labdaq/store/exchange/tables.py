"""A scan as a table, Parquet or CSV, and as arrays for NumPy."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from labdaq.errors import LayoutError
from labdaq.files import CsvFile
from labdaq.files import write_npz as write_arrays
from labdaq.files.arrow import pyarrow
from labdaq.files.table import LARGEST
from labdaq.store.encoding import to_json_text
from labdaq.store.exchange.arrow import arrow_column
from labdaq.store.exchange.interchange import metadata_of
from labdaq.store.exchange.selection import Selected, about, native, pieces, unit_of
from labdaq.store.exchange.trees import safe_names

if TYPE_CHECKING:
    from labdaq.store.scan import Scan

__all__ = ["write_csv", "write_npz", "write_parquet"]


def write_parquet(scan: "Scan", part: Path, selected: list[Selected]) -> dict[str, str]:
    """Write streams as columns, with their units; those of a kind that `arrow_column` knows."""
    arrow = pyarrow()
    empty = [arrow_column(s.stream.encoder.decode([], 0, 0), s) for s in selected]
    fields = [arrow.field(s.name, c.type, metadata=told) for s, (c, told) in zip(selected, empty, strict=True)]
    schema = arrow.schema(fields, metadata=metadata_of(scan, selected))
    with arrow.parquet.ParquetWriter(part, schema) as writer:
        for _start, piece in pieces(selected):
            columns = [arrow_column(points, s)[0] for points, s in zip(piece, selected, strict=True)]
            writer.write_table(arrow.Table.from_arrays(columns, schema=schema))
    return {s.name: s.name for s in selected}


def write_csv(_scan: "Scan", part: Path, selected: list[Selected]) -> dict[str, str]:
    """Write streams of real numbers or times as columns of text."""
    separator = "\t" if part.with_suffix("").suffix.lower() == ".txt" else ","
    kind = np.dtype([(s.name, s.stream.dtype.newbyteorder("=")) for s in selected])
    units = {s.name: unit for s in selected if (unit := unit_of(s.stream)) is not None}
    with CsvFile(part, units=units, separator=separator) as file:
        file.write(np.empty(0, kind))
        for _start, piece in pieces(selected):
            rows = np.empty(len(piece[0]), kind)
            for s, points in zip(selected, piece, strict=True):
                rows[s.name] = points
            file.write(rows)
    return {s.name: s.name for s in selected}


def write_npz(scan: "Scan", part: Path, selected: list[Selected]) -> dict[str, str]:
    """Write streams as arrays; JSON as texts."""
    nbytes = sum(s.npoint * (s.stream.encoder.point_nbytes or 0) for s in selected)
    if nbytes > LARGEST:
        raise LayoutError(f"these points take {nbytes} bytes, too much for NPZ, which is read whole: use .h5 or .zarr")
    places = safe_names([s.name for s in selected], taken=["metadata"])
    arrays = {places[s.name]: _array(s) for s in selected}
    told = {places[s.name]: {"stream": s.name, "first_index": s.start, "info": dict(s.stream.info)} for s in selected}
    write_arrays(part, arrays, {**about(scan), "streams": told})
    return places


def _array(selected: Selected) -> Any:
    points = selected.read()
    return np.array([to_json_text(point) for point in points], "U") if isinstance(points, list) else native(points)
