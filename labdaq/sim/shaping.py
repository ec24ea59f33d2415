"""Pulses of a shaping amplifier: one differentiation and several integrations, CR-RC^M."""

import numpy as np
import numpy.typing as npt

from labdaq.sim.simulation import check_positive

__all__ = ["shaped_pulse"]


def shaped_pulse(time: npt.ArrayLike, shaping_time: float, order: int = 1) -> npt.NDArray[np.float64]:
    """Response of a CR-RC^M shaper to a step: ``(t/tau)^M exp(-t/tau)``, scaled to a maximum of 1 at ``M tau``.

    Parameters
    ----------
    time : array_like
        After the step; 0 before it.
    shaping_time : float
        tau, in the unit of the time; positive.
    order : int
        M, the number of integrations; positive.

    Returns
    -------
    ndarray of float64
        0 to 1.

    Raises
    ------
    LayoutError
        If the shaping time or the order is not positive.

    Examples
    --------
    >>> shaped_pulse([-1, 0, 2, 4, 8], shaping_time=1.0, order=4).round(3)
    array([0.   , 0.   , 0.462, 1.   , 0.293])
    """
    check_positive(shaping_time=shaping_time, order=order)
    peaks = np.maximum(np.asarray(time, dtype=np.float64), 0.0) / (order * shaping_time)
    return np.asarray((peaks * np.exp(1 - peaks)) ** order)
