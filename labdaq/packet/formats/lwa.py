"""What packets of the Long Wavelength Array have in common."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["DP_FORMATS", "FS", "SYNC", "commonest_step"]

FS = 196_000_000
"""Ticks of the clock per second: time tags count them."""

SYNC = 0xDEC0DE5C
"""The first word of every packet, big-endian."""

DP_FORMATS = "https://fornax.phys.unm.edu/lwa/trac/wiki/DP_Formats"


def commonest_step(time_tags: NDArray[Any], sources: NDArray[Any]) -> int:
    """Ticks from frame to frame: the commonest difference between packets of one source; 0 if none came twice.

    Lost packets make some differences larger, and damaged ones make single ones wrong.

    Examples
    --------
    >>> commonest_step(np.array([100, 100, 110, 120, 130]), np.array([1, 2, 1, 1, 1]))
    10
    """
    steps = [np.diff(np.sort(time_tags[sources == source].astype(np.int64))) for source in np.unique(sources)]
    every = np.concatenate(steps) if steps else np.zeros(0, np.int64)
    values, counts = np.unique(every[every > 0], return_counts=True)
    return int(values[counts.argmax()]) if len(values) else 0
