"""Events to files, and from files into buffers again."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from labdaq.compat.mimocorb.patience import sleep_while
from labdaq.compat.mimocorb2.base import SetupError
from labdaq.compat.mimocorb2.mimo_file import MimoReader, MimoWriter, mimoFile
from labdaq.compat.mimocorb2.mimo_worker import BufferIO
from labdaq.compat.mimocorb2.worker_templates import Exporter, Importer

__all__ = ["clocked_importer", "export", "mimoFile", "simulate_importer"]

Array = npt.NDArray[Any]


def export(buffer_io: BufferIO) -> None:
    """Save all events with their metadata: ``<buffer>.mimo`` in the folder of the run."""
    exporter = Exporter(buffer_io)
    path = buffer_io.output_path(buffer_io.buffer_names_in[0], ".mimo")
    with MimoWriter(path, exporter.data_example.dtype, exporter.data_example.size) as file:
        for data, metadata in exporter:
            file.write(data, metadata)


def simulate_importer(buffer_io: BufferIO) -> None:
    """Play a file back at the times at which its events happened.

    Settings: ``filename``, from the folder of the suite.

    Raises
    ------
    SetupError
        When its events are others than those of the sink.
    """
    first: list[float] = []

    def wait_s(metadata: Array) -> float:
        first[:] = first or [metadata["timestamp"][0]]
        return float(metadata["timestamp"][0] - first[0])

    _play(buffer_io, wait_s)


def clocked_importer(buffer_io: BufferIO) -> None:
    """Play a file back at a rate.

    Settings: ``filename``, from the folder of the suite; ``rate`` [1/s]; ``distribution``: ``uniform``, by default,
    for equal times between events, or ``poisson`` for events that know nothing of each other; ``seed`` for these.

    Raises
    ------
    SetupError
        When its events are others than those of the sink, or for another rate or distribution.
    """
    rate, kind = float(buffer_io["rate"]), buffer_io.get("distribution", "uniform")
    if not rate > 0 or kind not in {"uniform", "poisson"}:
        wanted = "a positive rate, and the distribution 'uniform' or 'poisson', are wanted"
        raise SetupError(buffer_io, f"{wanted}, not rate={rate}, distribution={kind!r}")
    random, due = np.random.default_rng(buffer_io.get("seed")), [0.0]

    def wait_s(_metadata: Array) -> float:
        due[0] += random.exponential(1 / rate) if kind == "poisson" else 1 / rate
        return due[0]

    _play(buffer_io, wait_s)


def _play(buffer_io: BufferIO, due_s: Callable[[Array], float]) -> None:
    """Give the events of a file, each when it is due, in seconds since the beginning."""
    importer = Importer(buffer_io)
    example = importer.data_example
    with MimoReader(buffer_io.setup_dir / str(buffer_io["filename"])) as file:
        if (file.data_dtype, file.data_length) != (example.dtype, example.size):
            raise SetupError(
                importer,
                f"{file.path.name} has events of {file.data_length} values of {file.data_dtype}, and "
                f"{buffer_io.buffer_names_out[0]!r} takes {example.size} of {example.dtype}",
            )

        def events() -> Iterator[Array]:
            began = time.monotonic()
            for data, metadata in file:
                sleep_while(
                    lambda: not buffer_io.write[0].is_shutdown.value, began + due_s(metadata) - time.monotonic()
                )
                yield data

        importer(events)
