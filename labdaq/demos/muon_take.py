"""Taking muon data: waveforms through two rings and two filter workers, to a table of decays.

The workers are threads that share the waveforms between them; the edge finder they run is compiled and
holds no lock of Python's.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt

from labdaq.demos.team import Team
from labdaq.errors import DataError
from labdaq.files import Recording
from labdaq.kernels import DOUBLE_PULSE, double_pulse_filter
from labdaq.ring import EventReader, EventWriter, Ring
from labdaq.sim import MuonDetector

__all__ = ["DECAY", "Source", "Take", "take_data"]

DECAY = np.dtype([("counter", "i8"), *DOUBLE_PULSE.descr])
"""One decay: the number of its event, and what the filter measured."""

_WORKERS = 2

Source = MuonDetector | Recording
Filter = Callable[[Any, Any], int]


@dataclass(frozen=True)
class Take:
    """What data taking gave."""

    decays: npt.NDArray[Any]
    """Accepted events in the order of their numbers, dtype :data:`DECAY`."""
    events: int
    """Events that came in."""
    rejected: int
    """Events without a second pulse."""

    @property
    def accepted(self) -> int:
        """Events with a decay time."""
        return len(self.decays)


def take_data(source: Source, *, events: int | None = None, find: Filter | None = None, progress: bool = True) -> Take:
    """Pass events through two rings and two filter workers.

    Parameters
    ----------
    source : MuonDetector or Recording
        Gives waveforms.
    events : int, optional
        Take no more than this.
    find : callable, optional
        The filter, ``f(data, out) -> n``; by default the compiled edge finder.
    progress : bool
        Show a progress bar.

    Returns
    -------
    Take
        The decays and the ledger of events.

    Raises
    ------
    DataError
        If the ledger does not close: an event was lost or counted twice.
    Exception
        Whatever a worker raised.
    """
    find = find or double_pulse_filter(sample_interval_ns=source.sample_interval_ns)
    taken: list[int] = []
    rejected: list[int] = []
    with (
        Ring("waveforms", dtype=source.dtype, shape=source.shape, capacity=128) as waveforms,
        Ring("decays", dtype=DOUBLE_PULSE, shape=(), capacity=4096) as decays,
        ExitStack() as wires,
    ):
        # Everybody is in place before data flow: the groups, so that no event passes unseen; the writers,
        # because one that came later would open its ring again after a failure has ended it.
        waveforms.group("filter")
        decays.group("collect")
        inlet = wires.enter_context(waveforms.writer())
        outlets = [wires.enter_context(decays.writer()) for _ in range(_WORKERS)]

        def acquire() -> None:
            taken.append(_acquire(_shown(source, events, progress), inlet))

        def select() -> None:
            rejected.append(_select(waveforms.reader(group="filter"), outlets.pop(), find))

        def stop() -> None:
            waveforms.end()
            decays.end()

        with Team(stop) as team:
            team.start(acquire, then=waveforms.end)
            team.start(select, copies=_WORKERS, then=decays.end)
            found = _collect(decays)
    take = Take(found, events=sum(taken), rejected=sum(rejected))
    if take.events != take.accepted + take.rejected:
        raise DataError(
            f"the ledger does not close: {take.events} events in, but {take.accepted} accepted and "
            f"{take.rejected} rejected"
        )
    return take


def _acquire(source: Iterable[tuple[Any, int | None]], writer: EventWriter) -> int:
    """Fill the ring; the number of events."""
    events = 0
    for waveform, timestamp_ns in source:
        writer.put(waveform, timestamp_ns=timestamp_ns)
        events += 1
    return events


def _select(reader: EventReader, writer: EventWriter, find: Filter) -> int:
    """Share the waveforms with the other members of the group; the number of events without a decay."""
    rejected = 0
    pulses = np.zeros(1, DOUBLE_PULSE)
    for event in reader:
        if find(event.data, pulses):
            writer.put(pulses[0], like=event)
        else:
            rejected += 1
    return rejected


def _collect(decays: Ring) -> npt.NDArray[Any]:
    """All decays, in the order in which their events came in, which two workers do not keep."""
    batches = [np.empty(0, DECAY)]
    with decays.reader(group="collect") as reader:
        for span in reader.spans(256):
            batch = np.empty(len(span.data), DECAY)
            batch["counter"] = span.planes["counter"]
            for name in DOUBLE_PULSE.names or ():
                batch[name] = span.data[name]
            batches.append(batch)
    return np.sort(np.concatenate(batches), order="counter")


def _shown(source: Source, events: int | None, progress: bool) -> Iterator[tuple[Any, int | None]]:
    """The events of a source, with a progress bar."""
    wanted: Iterable[tuple[Any, int | None]] = islice(source, events)
    if not progress:
        yield from wanted
        return
    from tqdm import tqdm

    class Bar(tqdm):  # type: ignore[misc]
        monitor_interval = 0  # no thread of its own

    known = [n for n in (source.events, events) if n is not None]
    with Bar(wanted, total=min(known, default=None), unit=" events", mininterval=0.2) as bar:
        yield from bar
