"""Red Pitaya boards."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from labdaq.compat.mimocorb2.base import SetupError
from labdaq.compat.mimocorb2.mimo_worker import BufferIO
from labdaq.compat.mimocorb2.worker_templates import Importer
from labdaq.devices import RedPitaya
from labdaq.errors import LayoutError
from labdaq.roles import Trigger

__all__ = ["waveform"]


class _Place:
    """Where the board puts an event."""

    def __init__(self, samples: int) -> None:
        self.data: npt.NDArray[Any] = np.zeros((2, samples), np.int16)
        self.counter: int | None = None
        self.timestamp_ns: int | None = None
        self.deadtime: float | None = None


def waveform(buffer_io: BufferIO) -> None:
    """Waveforms of both inputs, as fields ``IN1`` and ``IN2`` of type int16.

    Settings: ``ip``, ``sample_rate`` (samples of 8 ns that are averaged into one), ``trigger_level`` [steps],
    ``number_of_samples_before_trigger``; with defaults ``trigger_source`` (``IN1``), ``trigger_slope``
    (``rising``), ``trigger_mode`` (``normal`` or ``auto``), ``negator_IN1``, ``negator_IN2`` (false), ``set_size``
    (100 events for each command).

    Raises
    ------
    SetupError
        When a setting is not possible.
    """
    importer = Importer(buffer_io)
    board = _board(importer)

    def events() -> Iterator[npt.NDArray[Any]]:
        place = _Place(importer.data_example.size)
        record = importer.data_example.copy()
        with board:
            while True:
                board.acquire(place)
                record["IN1"], record["IN2"] = place.data
                yield record

    importer(events)


def _board(importer: Importer) -> RedPitaya:
    io, samples = importer.io, importer.data_example.size
    if set(importer.data_example.dtype.names or ()) != {"IN1", "IN2"}:
        raise SetupError(importer, f"the sink has the fields IN1 and IN2, not {importer.data_example.dtype}")
    trigger = Trigger(
        io["trigger_level"], channel=io.get("trigger_source", "IN1"), edge=io.get("trigger_slope", "rising")
    )
    try:
        return RedPitaya(
            str(io["ip"]),
            trigger,
            samples=samples,
            pretrigger=io["number_of_samples_before_trigger"] / samples,
            decimation=io["sample_rate"],
            auto=io.get("trigger_mode", "normal") == "auto",
            negate=(bool(io.get("negator_IN1", False)), bool(io.get("negator_IN2", False))),
            batch=io.get("set_size", 100),
        )
    except LayoutError as error:
        raise SetupError(importer, "the board cannot be set up so", error) from error
