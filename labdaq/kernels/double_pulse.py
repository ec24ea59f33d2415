"""Two pulses in one waveform: a muon that stopped, and the electron of its decay.

The delay is counted from the first to the last pulse of the waveform; waveforms with a single pulse are
dropped. What a pulse is, and where its edge, is defined in :mod:`labdaq.kernels.edges`.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from labdaq.kernels.edges import Discriminator, crossing, find_edges_reference, next_pulse
from labdaq.native import jit

__all__ = [
    "DOUBLE_PULSE",
    "DOUBLE_PULSE_UNITS",
    "DoublePulseCut",
    "double_pulse_filter",
    "find_double_pulse",
    "find_double_pulse_reference",
    "measure_double_pulse",
]

DOUBLE_PULSE = np.dtype([("decay_time", "f8"), ("first_height", "f4"), ("last_height", "f4")])
"""One accepted waveform: the delay between its pulses, and their heights over the baseline."""

DOUBLE_PULSE_UNITS = {"decay_time": "us", "first_height": "V", "last_height": "V"}
"""The units of the fields of :data:`DOUBLE_PULSE`, for waveforms in volts."""


class DoublePulseCut(NamedTuple):
    """What counts as a pulse; the defaults suit :class:`labdaq.sim.MuonDetector`."""

    threshold: float = 0.035
    """Distance from the baseline at which a pulse begins, in the unit of the waveform."""
    polarity: int = -1
    """-1 for pulses that go down, 1 for pulses that go up."""
    release: float = 0.8
    """The pulse ends below this fraction of the threshold."""
    width_ns: float = 12.0
    """Pulses shorter than this are taken for pick-up."""
    dead_time_ns: float = 120.0
    """A pulse that begins sooner after the last one belongs to it."""
    baseline_ns: float = 600.0
    """The baseline is the mean of the waveform before this time."""
    sample_interval_ns: float = 4.0
    """Time between two samples."""


_DEFAULT_CUT = DoublePulseCut()


@jit
def _mean_of_first(waveform: Any, n: int) -> float:
    total = 0.0
    for i in range(n):
        total += waveform[i]
    return total / max(n, 1)


@jit
def measure_double_pulse(data: Any, out: Any, cut: DoublePulseCut) -> int:
    """Do what :func:`find_double_pulse` does, with the settings as an argument. For compiled callers."""
    baseline = _mean_of_first(data, min(int(cut.baseline_ns / cut.sample_interval_ns), data.shape[0]))
    width = int(np.ceil(cut.width_ns / cut.sample_interval_ns))
    dead_time = int(np.ceil(cut.dead_time_ns / cut.sample_interval_ns))
    pulse = Discriminator(cut.threshold, cut.polarity, baseline, cut.release, width, dead_time)

    first, end, height = next_pulse(data, 0, 0, pulse)
    if first < 0:
        return 0
    last = first
    out[0]["first_height"] = height
    following, end, height = next_pulse(data, end, first + dead_time, pulse)
    while following >= 0:
        last = following
        out[0]["last_height"] = height
        following, end, height = next_pulse(data, end, last + dead_time, pulse)
    delay = crossing(data, last, pulse) - crossing(data, first, pulse)
    out[0]["decay_time"] = 1e-3 * cut.sample_interval_ns * delay
    return 1 if last > first else 0


@jit
def find_double_pulse(data: Any, out: Any) -> int:
    """Measure the delay between the first and the last pulse of a waveform: a filter, compiled.

    Uses the defaults of :class:`DoublePulseCut`; :func:`double_pulse_filter` makes filters with others.
    Runs without the GIL.

    Parameters
    ----------
    data : ndarray, shape (samples,)
        Waveform, real; in volts if the heights are to be.
    out : ndarray of DOUBLE_PULSE, shape (1 or more,)
        The result is written to its first element.

    Returns
    -------
    int
        Records written: 1, or 0 for a waveform with fewer than two pulses.

    Examples
    --------
    >>> waveform = np.zeros(4000, "f4")
    >>> waveform[200:220] = waveform[750:770] = -0.1
    >>> out = np.zeros(1, DOUBLE_PULSE)
    >>> find_double_pulse(waveform, out)
    1
    >>> round(float(out[0]["decay_time"]), 6)
    2.2
    """
    return measure_double_pulse(data, out, _DEFAULT_CUT)


def double_pulse_filter(**settings: float) -> Callable[[Any, Any], int]:
    """Make a compiled filter like :func:`find_double_pulse` with other settings.

    Parameters
    ----------
    **settings
        Fields of :class:`DoublePulseCut`; the others keep their defaults.

    Returns
    -------
    callable
        ``f(data, out) -> n``. Its machine code is cached, per settings.

    Raises
    ------
    TypeError
        If there is no such setting.

    Examples
    --------
    >>> find = double_pulse_filter(polarity=1, threshold=50, sample_interval_ns=10)
    >>> waveform = np.zeros(1000, "i2")
    >>> waveform[100:120] = waveform[300:320] = 100
    >>> out = np.zeros(1, DOUBLE_PULSE)
    >>> find(waveform, out), round(float(out[0]["decay_time"]), 6)
    (1, 2.0)
    """
    given = DoublePulseCut(**settings)._asdict()  # type: ignore[arg-type]
    # One set of types, whatever numbers were given: one set of machine code.
    cut = DoublePulseCut(**{n: int(v) if n == "polarity" else float(v) for n, v in given.items()})  # type: ignore[arg-type]

    @jit
    def find(data: Any, out: Any) -> int:
        return measure_double_pulse(data, out, cut)

    return find


def find_double_pulse_reference(data: npt.NDArray[Any], cut: DoublePulseCut = _DEFAULT_CUT) -> float | None:
    """The definition of the decay time of :func:`find_double_pulse`: microseconds, or None if dropped."""
    quiet = data[: int(cut.baseline_ns / cut.sample_interval_ns)].astype(np.float64)
    pulse = Discriminator(
        threshold=cut.threshold,
        polarity=cut.polarity,
        baseline=float(quiet.mean()) if len(quiet) else 0.0,
        release=cut.release,
        width=int(np.ceil(cut.width_ns / cut.sample_interval_ns)),
        dead_time=int(np.ceil(cut.dead_time_ns / cut.sample_interval_ns)),
    )
    edges = find_edges_reference(data, pulse)
    return 1e-3 * cut.sample_interval_ns * float(edges[-1] - edges[0]) if len(edges) > 1 else None
