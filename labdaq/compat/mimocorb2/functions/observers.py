"""Displays of events. No window is opened: look at the run with labdaq's own."""

from labdaq.compat.mimocorb.patience import sleep_while
from labdaq.compat.mimocorb2.base import SetupError
from labdaq.compat.mimocorb2.mimo_worker import BufferIO
from labdaq.compat.mimocorb2.worker_templates import IsAlive, Observer

__all__ = ["oscilloscope"]


def oscilloscope(buffer_io: BufferIO) -> None:
    """Follow the newest waveform, silently, until no more will come.

    Settings: ``channels`` (all by default), ``update_interval`` (1 s); those of the picture are not used.

    Raises
    ------
    SetupError
        When there is no such channel.
    """
    observer, is_alive = Observer(buffer_io), IsAlive(buffer_io)
    names = observer.data_example.dtype.names or ()
    for channel in buffer_io.get("channels") or names:
        if channel not in names:
            raise SetupError(observer, f"there is no channel {channel!r}; there are: {', '.join(names)}")
    interval = float(buffer_io.get("update_interval", 1))
    for data, _ in observer():
        if data is None:
            break
        sleep_while(is_alive, interval)
