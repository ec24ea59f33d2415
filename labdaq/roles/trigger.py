"""When an event begins: one object for simulations, sources, replay and scope."""

from dataclasses import dataclass

from labdaq.errors import LayoutError

__all__ = ["Trigger"]


@dataclass(frozen=True)
class Trigger:
    """The condition on which an event begins.

    :func:`labdaq.kernels.find_triggers` finds where waveforms meet it.

    Parameters
    ----------
    level
        Threshold, in the unit of the waveforms.
    edge
        ``"rising"``: from below the level to the level or above; ``"falling"``: the other way round; ``"both"``.
    channel
        Number or name of the channel that is looked at.
    width
        Least number of samples that the signal stays beyond the level.
    coincidence
        Other channels that must be beyond their own level within ``window`` samples, as (channel, level) pairs.
    window
        Samples, before and after the edge, in which the others count.
    prescale
        Only every n-th trigger counts: the first, and then after each n - 1 that do not.

    Raises
    ------
    LayoutError
        For a setting that is not possible.

    Examples
    --------
    >>> Trigger(0.03, edge="falling", width=3)
    Trigger(level=0.03, edge='falling', channel=0, width=3, coincidence=(), window=20, prescale=1)
    >>> Trigger(0.03, prescale=0)
    Traceback (most recent call last):
    labdaq.errors.LayoutError: prescale, width and window are whole numbers from 1, 1 and 0 on; given: 0, 1, 20
    """

    level: float
    edge: str = "rising"
    channel: int | str = 0
    width: int = 1
    coincidence: tuple[tuple[int | str, float], ...] = ()
    window: int = 20
    prescale: int = 1

    def __post_init__(self) -> None:
        if self.edge not in {"rising", "falling", "both"}:
            raise LayoutError(f"edge={self.edge!r}: 'rising', 'falling' or 'both'")
        if self.prescale < 1 or self.width < 1 or self.window < 0:
            raise LayoutError(
                "prescale, width and window are whole numbers from 1, 1 and 0 on; "
                f"given: {self.prescale}, {self.width}, {self.window}"
            )
