"""Tables and histograms of what comes in."""

import time
from typing import Any

import numpy as np
import numpy.typing as npt

from labdaq.compat.mimocorb.metadata import table_dtype
from labdaq.compat.mimocorb2.base import SetupError
from labdaq.compat.mimocorb2.mimo_worker import BufferIO
from labdaq.compat.mimocorb2.worker_templates import Exporter
from labdaq.errors import LayoutError
from labdaq.files import CsvFile
from labdaq.kernels import Histogram

__all__ = ["csv", "drain", "histogram"]

_MOST = 1024


def drain(buffer_io: BufferIO) -> None:
    """Read events and forget them."""
    for _ in Exporter(buffer_io):
        pass


def csv(buffer_io: BufferIO) -> None:
    """Save records as a table: ``<filename>.csv`` in the folder of the run.

    Its columns are ``counter``, ``timestamp`` [s], ``deadtime`` and the fields of the buffer.

    Settings: ``filename`` (the name of the worker by default), ``save_interval`` (1 s).

    Raises
    ------
    SetupError
        When events have several values, or a field the name of a column.
    """
    exporter = _scalars(buffer_io)
    try:
        dtype = table_dtype(exporter.data_example.dtype)
    except LayoutError as error:
        raise SetupError(exporter, str(error)) from error
    interval = float(buffer_io.get("save_interval", 1))
    path = buffer_io.output_path(str(buffer_io.get("filename", buffer_io.name)), ".csv")
    rows: list[tuple[Any, ...]] = []
    with CsvFile(path, overwrite=True) as file:
        file.write(np.empty(0, dtype))
        saved = time.monotonic()
        for data, metadata in exporter:
            rows.append(metadata[0].item() + data[0].item())
            if len(rows) >= _MOST or time.monotonic() - saved > interval:
                file.write(np.array(rows, dtype))
                rows, saved = [], time.monotonic()
        file.write(np.array(rows, dtype))


def histogram(buffer_io: BufferIO) -> None:
    """Count values: a file ``<channel>.npy`` for each channel in ``Histograms_<buffer>``, in the folder of the run.

    ``info.csv`` there has their ranges and numbers of bins: the edges are ``linspace(Min, Max, NBins + 1)``.
    Values out of range are counted in ``outside.csv``, as labdaq's own histograms do.

    Settings: ``bins``: ``{channel: [min, max, number of bins]}``, ``update_interval`` (1 s).

    Raises
    ------
    SetupError
        When events have several values, a channel is not there, or bins are not possible.
    """
    exporter = _scalars(buffer_io)
    bins = _bins(exporter, buffer_io["bins"])
    histograms = {name: Histogram(np.linspace(low, high, number + 1)) for name, (low, high, number) in bins.items()}
    folder = buffer_io.output_path(f"Histograms_{buffer_io.buffer_names_in[0]}")
    folder.mkdir(exist_ok=True)
    text = [f"{name},{low},{high},{number}\n" for name, (low, high, number) in bins.items()]
    (folder / "info.csv").write_text("".join(["Channel,Min,Max,NBins\n", *text]), encoding="utf-8")

    def save() -> None:
        for name, one in histograms.items():
            with (folder / f"{name}.npy.part").open("wb") as file:
                np.save(file, one.counts)
            (folder / f"{name}.npy.part").replace(folder / f"{name}.npy")
        lost = [f"{name},{one.entries - int(one.counts.sum())}\n" for name, one in histograms.items()]
        (folder / "outside.csv").write_text("".join(["Channel,Outside\n", *lost]), encoding="utf-8")

    save()
    interval, saved = float(buffer_io.get("update_interval", 1)), time.monotonic()
    rows: list[npt.NDArray[Any]] = []
    for data, _ in exporter:
        rows.append(data)
        is_due = time.monotonic() - saved > interval
        if is_due or len(rows) >= _MOST:
            rows = _fill(histograms, rows)
        if is_due:
            save()
            saved = time.monotonic()
    _fill(histograms, rows)
    save()


def _fill(histograms: dict[str, Histogram], rows: list[npt.NDArray[Any]]) -> list[npt.NDArray[Any]]:
    if rows:
        records = np.concatenate(rows)
        for name, one in histograms.items():
            one.fill(records[name])
    return []


def _scalars(buffer_io: BufferIO) -> Exporter:
    exporter = Exporter(buffer_io)
    example = exporter.data_example
    if example.size != 1 or example.dtype.names is None:
        raise SetupError(exporter, f"events of one value with fields are wanted, not of {example.size} values")
    return exporter


def _bins(exporter: Exporter, given: Any) -> dict[str, tuple[float, float, int]]:
    names = exporter.data_example.dtype.names or ()
    bins = {}
    for name, one in dict(given).items():
        if name not in names:
            raise SetupError(exporter, f"bins of {name!r}: there is no such channel; there are: {', '.join(names)}")
        if len(one) != 3 or not float(one[0]) < float(one[1]) or int(one[2]) < 1:
            raise SetupError(exporter, f"bins of {name!r}: [min, max, number of bins] are wanted, not {one}")
        bins[str(name)] = (float(one[0]), float(one[1]), int(one[2]))
    return bins
