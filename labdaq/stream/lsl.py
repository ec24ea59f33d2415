"""Lab Streaming Layer: its streams come in through an `LslInlet`, and ours go out through an `LslOutlet`.

LSL numbers no samples and stamps each with the seconds of a clock of its own. Coming in, samples are numbered, their
times are translated to UTC, and where times jump there is a gap. Going out, the numbers are lost; times show the gaps.
"""

import threading
import time
from importlib import import_module
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from labdaq.errors import LayoutError, MissingExtraError, NotFoundError
from labdaq.stream.node import Node, Specs, ThreadNode

__all__ = ["LslInlet", "LslOutlet"]

_CARRIED = {"f4": "float32", "f8": "double64", "i1": "int8", "i2": "int16", "i4": "int32", "i8": "int64"}
_WIDER = {"b1": "i1", "u1": "i2", "u2": "i4", "u4": "i8", "f2": "f4"}
_SLICE_S = 0.1
_CORRECTION_S = 5.0


def load() -> Any:
    """The package ``pylsl``.

    Raises
    ------
    MissingExtraError
        When it, or the library that it calls, is not installed.
    """
    try:
        return import_module("pylsl")
    except (ImportError, RuntimeError, OSError) as error:
        raise MissingExtraError(f"Lab Streaming Layer needs pylsl: pip install 'labdaq[lsl]' ({error})") from error


def carried_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The dtype in which LSL carries values without loss: it knows no unsigned numbers.

    Raises
    ------
    LayoutError
        There is none.

    Examples
    --------
    >>> carried_dtype(np.dtype("u2")), carried_dtype(np.dtype(">f8"))
    (dtype('int32'), dtype('float64'))
    """
    code = dtype.newbyteorder("=").str[1:]
    code = _WIDER.get(code, code)
    if code not in _CARRIED:
        raise LayoutError(f"LSL cannot carry {dtype}: it has {', '.join(_CARRIED.values())}; use a StreamConverter")
    return np.dtype(code)


class LslOutlet(ThreadNode):
    """Offers the stream at its input ``signals`` to programs that speak LSL.

    `configure` takes ``name``, ``kind`` (LSL's type, such as ``EEG``; the stream type by default) and ``source_id``.
    Samples of several axes are flattened. Times are UTC of the samples, translated to LSL's clock.
    """

    _input_specs: ClassVar[Specs] = {"signals": {}}

    def _configure(  # type: ignore[override]
        self, *, name: str = "labdaq", kind: str = "", source_id: str = ""
    ) -> None:
        self._lsl = load()
        self._described = (name, kind, source_id)
        self._outlet: Any = None

    def _initialize(self) -> None:
        carried = self.input.carried
        if carried["shape"] is None:
            raise LayoutError("the shape of the stream is not known before its first chunk: configure it")
        self._dtype = carried_dtype(np.dtype(carried["dtype"]))
        self._values = int(np.prod(carried["shape"][1:], dtype=int))
        name, kind, source_id = self._described
        kind = kind or carried["streamtype"]
        is_regular = carried["streamtype"] != "event"
        rate = carried["sample_rate"] if is_regular else 0.0
        info = self._lsl.StreamInfo(name, kind, self._values, rate, _CARRIED[self._dtype.str[1:]], source_id)
        channels = info.desc().append_child("channels")
        for number in range(self._values):
            channel = channels.append_child("channel")
            label = carried["channels"][number] if number < len(carried["channels"]) else str(number)
            channel.append_child_value("label", label)
            channel.append_child_value("unit", carried["units"])
        self._outlet = self._lsl.StreamOutlet(info)

    def wait_for_consumers(self, timeout: float) -> bool:
        """Wait for somebody who listens; whether there is one."""
        return bool(self._outlet.wait_for_consumers(timeout))

    def restarted(self, name: str) -> None:
        """LSL knows no sessions: times show it."""

    def process(self, index: int, data: NDArray[Any]) -> None:
        """Push a chunk."""
        samples = np.ascontiguousarray(data.reshape(len(data), -1), self._dtype)
        age_s = (time.time_ns() - self.input.time_of(index - 1)) / 1e9
        self._outlet.push_chunk(samples, self._lsl.local_clock() - age_s)

    def _close(self) -> None:
        self._outlet = None


class LslInlet(Node):
    """Receives a stream of LSL and sends it through its output ``signals``.

    `configure` takes ``name``, ``kind`` or ``source_id`` of the stream, one of them, and ``timeout``, the seconds to
    look for it; `open_outputs` then knows what it is. Where times of a regular stream jump by more than ``gap_s``
    (0.5 s), as many samples are missing as would have been there.
    """

    _output_specs: ClassVar[Specs] = {"signals": {}}

    def __init__(self, name: str = "") -> None:
        super().__init__(name)
        self._inlet: Any = None
        self._thread: threading.Thread | None = None
        self._is_over = threading.Event()
        self._error: BaseException | None = None

    def _configure(  # type: ignore[override]
        self,
        *,
        name: str | None = None,
        kind: str | None = None,
        source_id: str | None = None,
        timeout: float = 5.0,
        gap_s: float = 0.5,
    ) -> None:
        self._lsl = lsl = load()
        given = {"name": name, "type": kind, "source_id": source_id}
        wanted = [(key, value) for key, value in given.items() if value is not None]
        if len(wanted) != 1:
            raise LayoutError("give name, kind or source_id of the stream: one of them")
        ((key, value),) = wanted
        found = lsl.resolve_byprop(key, value, minimum=1, timeout=timeout)
        if not found:
            raise NotFoundError(f"no LSL stream with {key} {value!r} answered in {timeout:g} s")
        self._close()
        self._inlet = lsl.StreamInlet(found[0], recover=True)
        self._info = self._inlet.info(timeout)
        form = next((n for n in _CARRIED.values() if getattr(lsl, f"cf_{n}") == self._info.channel_format()), None)
        if form is None:
            self._close()
            raise LayoutError(f"LSL stream {value!r} carries texts: an XDF recorder keeps them")
        self._dtype = np.dtype(next(code for code, known in _CARRIED.items() if known == form))
        self._gap_s = gap_s

    def _output_parameters(self, name: str) -> dict[str, Any]:  # noqa: ARG002 - there is one
        info = self._info
        labels = tuple(info.get_channel_labels() or ())
        units = [unit for unit in info.get_channel_units() or () if unit]
        rate = info.nominal_srate()
        return {
            "dtype": self._dtype,
            "shape": (-1, info.channel_count()),
            "sample_rate": rate or 1.0,
            "streamtype": info.type() or ("analogsignal" if rate else "event"),
            "channels": tuple(str(label) for label in labels),
            "units": units[0] if units else "",
            "annotations": {"lsl_name": info.name(), "lsl_source_id": info.source_id()},
        }

    def _start(self) -> None:
        self._is_over.clear()
        self._error = None
        self._expected_s: float | None = None
        self._inlet.open_stream(timeout=5.0)
        self._corrected, self._correction_s = 0.0, 0.0
        self._thread = threading.Thread(target=self._work, name=f"labdaq-lsl {self.name}", daemon=True)
        self._thread.start()

    def _work(self) -> None:
        try:
            while not self._is_over.is_set():
                samples, times = self._inlet.pull_chunk(timeout=_SLICE_S, max_samples=4096)
                if len(times):
                    self._send(np.asarray(samples, self._dtype), np.asarray(times))
        except BaseException as error:  # noqa: BLE001 - it is raised where the node is stopped
            self._error = error

    def _send(self, samples: NDArray[Any], times_s: NDArray[np.float64]) -> None:
        """Samples, cut where their times jump."""
        rate = self._info.nominal_srate()
        steps = np.diff(times_s, prepend=times_s[0] if self._expected_s is None else self._expected_s)
        self._expected_s = float(times_s[-1])
        jumps = np.flatnonzero(steps > self._gap_s + 1 / rate) if rate else np.array([], int)
        out, begin = self.output, 0
        for end in [*jumps.tolist(), len(times_s)]:
            if end > begin:
                out.send(
                    samples[begin:end], self._number + end - begin, timestamp_ns=self._utc_ns(times_s[end - 1], rate)
                )
                self._number += end - begin
            if end < len(times_s):
                self._number += max(0, round(float(steps[end]) * rate) - 1)
            begin = end

    def _utc_ns(self, time_s: float, rate: float) -> int:
        """UTC of the end of a sample, by the clock of this machine."""
        now = time.monotonic()
        if now - self._corrected > _CORRECTION_S:
            self._corrected = now
            self._correction_s = self._inlet.time_correction(timeout=2.0)
        age_s = self._lsl.local_clock() - (time_s + self._correction_s)
        return int(time.time_ns() - round(1e9 * age_s) + (round(1e9 / rate) if rate else 0))

    def _initialize(self) -> None:
        self._number = self.output.index

    def _stop(self) -> None:
        self._is_over.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        self._inlet.close_stream()
        error, self._error = self._error, None
        if error is not None:
            raise error

    def _close(self) -> None:
        self._inlet = None
