"""Measured values and waveforms of instruments that speak SCPI."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from labdaq.devices.records import Fields
from labdaq.devices.scpi import ScpiInstrument
from labdaq.errors import DataError, LayoutError
from labdaq.roles import EventSlot

__all__ = ["VisaScalars", "VisaWaveform"]


class VisaScalars(ScpiInstrument):
    """Measured values of a SCPI instrument as records.

    Parameters
    ----------
    resource
        Its VISA name, such as ``"USB0::0x1AB1::0x04CE::DS1ZA1::INSTR"`` or ``"TCPIP::scope.lab::INSTR"``.
    queries
        Name of each field and the question that gives it, asked in this order for each event.
    setup, safe
        Commands to send when it was opened, after which the queue of errors has to be empty; and before it is
        closed.
    timeout
        Of each answer (seconds).
    period_s
        Time between two events (seconds); a parameter that may be changed while data are taken.
    library
        Which VISA: ``""`` the one that is installed, or ``"@py"``.

    Raises
    ------
    NotFoundError, BusyError, ResourceError, MissingExtraError
        From ``open``: it is not there, in use, has refused a command; pyvisa is not installed.

    Notes
    -----
    Answers that are no numbers are counted in ``losses()`` as ``no number``, and the event is asked for again.

    Examples
    --------
    >>> source = VisaScalars("TCPIP::dmm.lab::INSTR", {"volt": "MEAS:VOLT?"}, setup=["CONF:VOLT:DC 10"])
    >>> source.dtype, source.header["queries"]
    (dtype([('volt', '<f8')]), {'volt': 'MEAS:VOLT?'})
    """

    shape: tuple[int, ...] = ()

    def __init__(self, resource: str, queries: Mapping[str, str], **settings: Any) -> None:
        super().__init__(resource, **settings)
        self.queries = dict(queries)
        self._fields = Fields(list(self.queries))
        self.dtype = self._fields.dtype

    @property
    def header(self) -> dict[str, Any]:
        """What goes with the data."""
        return {"instrument": self.identity, "queries": self.queries}

    def acquire(self, event: EventSlot) -> None:
        """Ask all questions and fill the record.

        Raises
        ------
        EndOfDataError
            It was interrupted.
        WaitTimeoutError
            An answer did not come in time.
        """
        while True:
            self._check()
            self._in_turn()
            record = self._fields.of_text(";".join(self.ask(question) or "?" for question in self.queries.values()))
            if record is not None:
                event.data[...] = record
                return
            self._lost("no number")


class VisaWaveform(ScpiInstrument):
    """Waveforms of a SCPI instrument, sent as a binary block.

    Parameters
    ----------
    resource
        Its VISA name.
    query
        The question that is answered by a block (IEEE 488.2: ``#``, digits, bytes).
    samples
        In each waveform.
    kind
        Of the numbers in the block, as the module struct has it: ``"b"``, ``"B"``, ``"h"``, ``"f"``.
    big_endian
        Whether numbers begin with their highest byte.
    scale, offset
        The waveform is ``scale * number + offset``, in `unit`.
    unit, sample_interval_ns
        For the header; units of the waveform and nanoseconds.
    trigger
        Command that starts each waveform, or nothing.
    setup, safe, timeout, period_s, library
        As in :class:`VisaScalars`.

    Raises
    ------
    DataError
        From ``acquire``: what came is no block, or has not the number of samples; the message names both.

    Examples
    --------
    >>> scope = VisaWaveform("USB0::1::2::3::INSTR", ":WAV:DATA?", 1200, scale=0.01, sample_interval_ns=8.0)
    >>> scope.dtype, scope.shape, scope.header["unit"]
    (dtype('float32'), (1200,), 'V')
    """

    dtype = np.dtype(np.float32)

    def __init__(
        self,
        resource: str,
        query: str,
        samples: int,
        *,
        kind: str = "B",
        big_endian: bool = False,
        scale: float = 1.0,
        offset: float = 0.0,
        unit: str = "V",
        sample_interval_ns: float | None = None,
        trigger: str = "",
        **settings: Any,
    ) -> None:
        super().__init__(resource, **settings)
        if samples < 1 or kind not in set("bBhHiIfd"):
            raise LayoutError(f"samples is positive and kind one of b, B, h, H, i, I, f, d; given: {samples}, {kind!r}")
        self.query, self.samples, self.kind, self.big_endian = query, samples, kind, big_endian
        self.scale, self.offset, self.unit = scale, offset, unit
        self.sample_interval_ns, self.trigger = sample_interval_ns, trigger
        self.shape = (samples,)

    @property
    def header(self) -> dict[str, Any]:
        """What goes with the data."""
        return {"instrument": self.identity, "unit": self.unit, "sample_interval_ns": self.sample_interval_ns}

    def acquire(self, event: EventSlot) -> None:
        """Ask for a waveform and fill it in, in the unit.

        Raises
        ------
        EndOfDataError
            It was interrupted.
        WaitTimeoutError
            It did not come in time.
        DataError
            It is not what was agreed upon.
        """
        self._check()
        self._in_turn()
        if self.trigger:
            self.tell(self.trigger)
        numbers = self._ask(self.query, self._block)
        if len(numbers) != self.samples:
            raise DataError(
                f"{self.device!r} answered {self.query!r} with {len(numbers)} samples of {self.kind!r}, "
                f"not {self.samples}: set the samples of the source, or of the instrument"
            )
        event.data[...] = numbers * self.scale + self.offset

    def _block(self) -> Any:
        try:
            return self._link.query_binary_values(
                self.query, datatype=self.kind, is_big_endian=self.big_endian, container=np.array
            )
        except ValueError as error:
            raise DataError(f"{self.device!r} answered {self.query!r} with what is no block: {error}") from error
