"""Any source behind a trigger: for simulations and replays that see more than an instrument would."""

import threading
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from labdaq.errors import EndOfDataError, LayoutError
from labdaq.kernels import find_triggers
from labdaq.roles import EventSlot, Parameter, Trigger

__all__ = ["Triggered", "triggered"]


def triggered(source: Any, trigger: Trigger) -> "Triggered":
    """Let only those waveforms of a source through that meet the condition of a trigger.

    Parameters
    ----------
    source
        With ``acquire(event)``: a simulation, a replay, a front end. Its events have shape ``(samples,)`` or
        ``(channels, samples)``.
    trigger
        The condition, as for a front end or a scope. Prescaled are whole events: the first that fires counts, then
        each ``prescale``-th after it.

    Returns
    -------
    Triggered
        A source. Its parameter ``level`` may be changed while data are taken. It can be pickled where the source can.

    Raises
    ------
    LayoutError
        The source has no ``acquire(event)``.

    Examples
    --------
    >>> from labdaq import sim
    >>> stack = sim.triggered(sim.MuonStack(seed=1, events=100), Trigger(300.0))
    >>> from types import SimpleNamespace
    >>> import numpy as np
    >>> event, count = SimpleNamespace(data=np.zeros(stack.shape, "f4"), timestamp_ns=0), 0
    >>> try:
    ...     while True:
    ...         stack.acquire(event)
    ...         count += 1
    ... except EndOfDataError:
    ...     print(count + stack.losses()["no trigger"])
    100
    """
    return Triggered(source, trigger)


class Triggered:
    """A source behind a trigger; made by :func:`triggered`."""

    def __init__(self, source: Any, trigger: Trigger) -> None:
        if not hasattr(source, "acquire"):
            raise LayoutError(f"{source!r:.60} has no acquire(event): only such sources can be put behind a trigger")
        self.source, self.trigger = source, trigger
        header = getattr(source, "header", None) or {}
        self.level = Parameter(float(trigger.level), unit=str(header.get("unit", "")), label="trigger level")
        self._channels = tuple(header.get("channels", ()))
        self._is_interrupted = threading.Event()
        self._fired = self._silent = self._prescaled = 0

    def __getattr__(self, name: str) -> Any:
        # Batches would pass the trigger by.
        if name in {"source", "acquire_batch", "skip", "start", "stop", "__iter__", "__next__"}:
            raise AttributeError(name)
        return getattr(self.source, name)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_is_interrupted": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._is_interrupted = threading.Event()

    @property
    def header(self) -> Mapping[str, Any]:
        """That of the source, with the trigger."""
        about = {"level": self.level.value, "edge": self.trigger.edge, "channel": self.trigger.channel}
        return {**(getattr(self.source, "header", None) or {}), "trigger": about}

    def open(self) -> None:
        """Begin to count anew."""
        self._is_interrupted.clear()
        self._fired = self._silent = self._prescaled = 0
        if hasattr(self.source, "open"):
            self.source.open()

    def interrupt(self) -> None:
        """Make a wait for the next trigger end."""
        self._is_interrupted.set()
        if hasattr(self.source, "interrupt"):
            self.source.interrupt()

    def acquire(self, event: EventSlot) -> None:
        """The next event that fires; those before it are counted.

        Raises
        ------
        EndOfDataError
            The source has no more, or the wait was interrupted.
        """
        while not self._is_interrupted.is_set():
            self.source.acquire(event)
            if not self._fires(event.data):
                self._silent += 1
                continue
            self._fired += 1
            if (self._fired - 1) % self.trigger.prescale == 0:
                return
            self._prescaled += 1
        raise EndOfDataError("waiting for a trigger was interrupted; open() begins anew")

    def _fires(self, waveform: Any) -> bool:
        condition = replace(self.trigger, level=self.level.value, prescale=1)
        return len(find_triggers(waveform, condition, self._channels)) > 0

    def losses(self) -> dict[str, int]:
        """Events that did not fire, and those that the prescale left out, since `open`; and those of the source."""
        own = {"no trigger": self._silent, "prescaled": self._prescaled}
        return {**(self.source.losses() if hasattr(self.source, "losses") else {}), **own}
