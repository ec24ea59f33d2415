# ruff: noqa: N999 - the name of v1
"""The state of a run, for a display: rates of all buffers over the last minutes, and a few lines of text.

Nothing is drawn here. What v1 has as a window is labdaq's control panel, with its rates: see
:meth:`labdaq.compat.mimocorb.suites.MimocorbSuite.dashboard`.
"""

import queue
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

__all__ = ["bufferinfoGUI", "plot_bufferinfo"]

_POINTS = 180


class plot_bufferinfo:  # noqa: N801
    """What is known of a run.

    Parameters
    ----------
    Q
        Queue of what :meth:`update` takes; None for none.
    RBnames
        Names of the buffers.
    maxRate
        For the axis, in Hz.
    interval
        Between updates, in ms.

    Attributes
    ----------
    R : ndarray of float64, shape (buffers, 180)
        Rates in Hz, the newest last.
    xplt : ndarray of float64, shape (180,)
        When they were, in seconds before now.
    status, active_s, events, deadtime, fill, all_alive
        State of the run, seconds that it took data, events in the first buffer, dead time as a fraction, slots in
        use by buffer, whether all workers live.

    Examples
    --------
    >>> info = plot_bufferinfo(None, ["RB_1"])
    >>> info.update(("Running", 2.5, 100, 0.01, {"RB_1": [100, 3, 40.0]}, True))
    >>> info.text
    'Running 2.5 s, 100 events, dead time 1.0 %'
    >>> float(info.R[0, -1]), info.fill
    (40.0, {'RB_1': 3})
    """

    def __init__(
        self,
        Q: Any,  # noqa: N803
        RBnames: Sequence[str],  # noqa: N803
        maxRate: float = 4500.0,  # noqa: N803
        interval: float = 1000.0,
    ) -> None:
        self.Q = Q
        self.RBnames = list(RBnames)
        self.ymax = maxRate
        self.interval = interval / 1000
        self.R = np.zeros((len(self.RBnames), _POINTS))
        self.xplt = np.arange(1 - _POINTS, 1) * self.interval
        self.status, self.active_s, self.events, self.deadtime = "", 0.0, 0, 0.0
        self.fill: dict[str, int] = {}
        self.all_alive = True
        self.log: list[str] = []

    @property
    def text(self) -> str:
        """The state in one line."""
        return f"{self.status} {self.active_s:.1f} s, {self.events} events, dead time {100 * self.deadtime:.1f} %"

    def update(self, news: tuple[str, float, int, float, Mapping[str, Sequence[Any]], bool]) -> None:
        """Take over status, seconds, events, dead time, ``{buffer: [events, slots in use, rate]}``, all alive."""
        self.status, self.active_s, self.events, self.deadtime, buffers, self.all_alive = news
        self.R[:, :-1] = self.R[:, 1:]
        self.R[:, -1] = [buffers[name][2] if name in buffers else 0.0 for name in self.RBnames]
        self.fill = {name: int(numbers[1]) for name, numbers in buffers.items()}

    def __call__(self, n: int = 0) -> None:  # noqa: ARG002 - the number of the frame, of no use
        """Take over what is in the queue, without waiting."""
        while self.Q is not None:
            try:
                news = self.Q.get_nowait()
            except queue.Empty:
                return
            if news is not None:
                self.update(news)


def bufferinfoGUI(  # noqa: N802, PLR0917
    Qcmd: Any,  # noqa: ARG001, N803 - commands are given by those who show it
    Qlog: Any,  # noqa: N803
    Qinfo: Any,  # noqa: N803
    RBnames: Sequence[str] = ("RB_1",),  # noqa: N803
    maxRate: float = 4500.0,  # noqa: N803
    interval: float = 1000.0,
) -> plot_bufferinfo:
    """Follow a run until None comes through its queue; what was known of it at the end."""
    info = plot_bufferinfo(Qinfo, RBnames, maxRate, interval)
    while (news := Qinfo.get()) is not None:
        info.update(news)
        while Qlog is not None:
            try:
                info.log.append(str(Qlog.get_nowait()))
            except queue.Empty:
                break
    return info
