"""Why a search for decays found nothing: told where its settings do not fit the pulses."""

from typing import TYPE_CHECKING, Any

import numpy as np

from labdaq.kernels.peaks import find_peaks

if TYPE_CHECKING:
    from labdaq.kernels.decays import DecayCut

__all__ = ["NothingFoundWarning", "why_nothing"]

_EVENTS = 50
"""So many events tell enough."""


class NothingFoundWarning(UserWarning):
    """Not one of many events was accepted, and the settings look like the reason."""


def why_nothing(waveforms: Any, cut: "DecayCut") -> str:
    """What keeps the peaks of these events from counting; empty when there is nothing to say.

    Parameters
    ----------
    waveforms : ndarray, shape (events, channels, samples)
        Of which none was accepted.
    cut : DecayCut
        The settings.

    Examples
    --------
    >>> from labdaq.kernels.decays import decay_cut
    >>> event = np.zeros((1, 1, 1000)); event[0, 0, [100, 350]] = 5.0
    >>> why_nothing(event, decay_cut(3.0, 2.0, width=10, sample_interval_ns=8))
    'all 2 peaks that are high enough are narrower than width=10 samples, half of them than 1.0: lower the width'
    """
    rows = np.asarray(waveforms[:_EVENTS], dtype=np.float64).reshape(-1, waveforms.shape[-1]) * cut.polarity
    first, second = cut.first_prominence, cut.second_prominence
    widths = np.concatenate([find_peaks(row, prominence=min(first, second), width=0)["width"] for row in rows])
    if len(widths) == 0:
        return _too_low(rows, min(first, second))
    width, median = float(cut.peaks.min_width), float(np.median(widths))
    if (widths < width).mean() < 0.5:
        return ""
    count = "all" if (widths < width).all() else "most of the"
    return (
        f"{count} {len(widths)} peaks that are high enough are narrower than width={width:g} samples, half of them "
        f"than {median:.1f}: lower the width"
    )


def _too_low(rows: Any, least: float) -> str:
    """Peaks are lower than asked for, or point the other way."""
    middle = np.median(rows, axis=1)
    up, down = float((rows.max(axis=1) - middle).max()), float((middle - rows.min(axis=1)).max())
    if up < least <= down:
        return f"pulses go the other way, by up to {down:.3g}: change the polarity"
    return (
        f"the highest pulse stands {up:.3g} over the rest, and prominences of {least:g} are asked for: look at the unit"
    )
