"""The newest waveform of a buffer, for a display.

In the kernel of a notebook it is labdaq's oscilloscope; without a page nothing is drawn.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from labdaq.compat.mimocorb.displays import has_page, scope_of, show
from labdaq.compat.mimocorb.observers import rbObserver
from labdaq.compat.mimocorb.patience import sleep_while
from labdaq.compat.mimocorb.roles import setting

__all__ = ["animWaveformPlotter", "plot_buffer"]


class animWaveformPlotter:  # noqa: N801
    """What an oscilloscope shows of a buffer.

    Parameters
    ----------
    conf_dict
        ``sample_time_ns`` [ns]; with defaults ``title``, ``channel_range`` (500 mV), ``analogue_offset`` (0 V),
        ``pre_trigger_samples`` (0), ``trigger_level`` [mV], ``trigger_channel``, ``trigger_direction``,
        ``min_sleeptime`` (1 s).
    dtypes, fig
        Not used.
    source_dict
        The setup dictionary of the buffer.

    Attributes
    ----------
    times_ns : ndarray of float64
        Of the samples; 0 at the trigger.
    channels : dict of str to ndarray
        The newest waveforms by name, without the offset, in mV; empty before the first.
    counter : int
        The number of the event; -1 before the first.
    rate : float
        Events per second between the last two that were shown.
    """

    def __init__(
        self,
        conf_dict: dict[str, Any] | None = None,
        dtypes: object = None,  # noqa: ARG002
        source_dict: dict[str, Any] | None = None,
        fig: object = None,  # noqa: ARG002
    ) -> None:
        config, source = conf_dict or {}, source_dict or {}
        self.conf_dict, self.source_dict = config, source
        self.dtypes = setting(self, source, "dtype")
        self.title = str(config.get("title", ""))
        self.channel_range = float(config.get("channel_range", 500))
        self.analogue_offset = 1000.0 * float(config.get("analogue_offset", 0.0))
        level = config.get("trigger_level")
        self.trigger_level = None if level is None else float(level) - self.analogue_offset
        self.trigger_channel = str(config.get("trigger_channel", ""))
        self.trigger_direction = str(config.get("trigger_direction", ""))
        self.min_sleeptime = float(config.get("min_sleeptime", 1.0))
        samples = np.arange(setting(self, source, "values_per_slot")) - int(config.get("pre_trigger_samples", 0))
        self.times_ns: npt.NDArray[np.float64] = samples * float(setting(self, config, "sample_time_ns"))
        self.channels: dict[str, npt.NDArray[Any]] = {}
        self.counter, self.rate = -1, 0.0
        self._last: tuple[int, float] | None = None

    def init(self) -> dict[str, npt.NDArray[Any]]:
        """What there is to be shown now."""
        return self.channels

    def __call__(self, data: npt.NDArray[Any], mdata: npt.NDArray[Any] | None = None) -> dict[str, npt.NDArray[Any]]:
        """Take an event over, as an observer gives it."""
        names = data.dtype.names
        found = {name: data[name] for name in names} if names else {"": data}
        self.channels = {name: values - self.analogue_offset for name, values in found.items()}
        if mdata is not None:
            counter, timestamp = int(mdata[0][0]), float(mdata[0][1])
            if self._last is not None and timestamp > self._last[1]:
                self.rate = (counter - self._last[0]) / (timestamp - self._last[1])
            self.counter, self._last = counter, (counter, timestamp)
        return self.channels


class plot_buffer:  # noqa: N801
    """Observe a buffer for a display.

    Parameters
    ----------
    source_list, sink_list
        Not used.
    observe_list
        Setup dictionary of the buffer, in a list.
    config_dict
        As for :class:`animWaveformPlotter`.
    **rb_info
        ``RB_assign`` of the function.

    Raises
    ------
    LayoutError
        When there is no buffer to observe, or a setting is missing.

    Attributes
    ----------
    osciplot : animWaveformPlotter
        What is to be shown.
    """

    def __init__(
        self,
        source_list: object = None,  # noqa: ARG002
        sink_list: object = None,  # noqa: ARG002
        observe_list: list[dict[str, Any]] | None = None,
        config_dict: dict[str, Any] | None = None,
        **rb_info: str,
    ) -> None:
        self.data_reader = rbObserver(observe_list=observe_list, config_dict=config_dict, **rb_info)
        self.min_sleeptime = self.data_reader.min_sleeptime
        self.active_event = self.data_reader.source._active
        self.source_dict = (observe_list or [{}])[0]
        self.osciplot = animWaveformPlotter(conf_dict=config_dict, source_dict=self.source_dict)

    def view(self) -> Any:
        """An oscilloscope, for a notebook."""
        return scope_of(self.source_dict["ring"], self.osciplot.conf_dict)

    def __call__(self) -> None:
        """Take events over until there are no more.

        Raises
        ------
        SystemExit
            At the end, as in v1.
        """
        if has_page():
            show(self.view())
        for event in self.data_reader():
            if event is None:
                break
            self.osciplot(*event)
            sleep_while(self.active_event.is_set, self.min_sleeptime)
        self.data_reader.close()
        raise SystemExit
