"""Displays of what the exporters save. No window is opened: look at the run with labdaq's own."""

import math

from labdaq.compat.mimocorb.patience import sleep_while
from labdaq.compat.mimocorb2.mimo_worker import BufferIO
from labdaq.compat.mimocorb2.worker_templates import IsAlive

__all__ = ["csv", "histogram"]


def csv(buffer_io: BufferIO) -> None:
    """Wait for the end of the buffer that `exporters.csv` saves."""
    sleep_while(IsAlive(buffer_io), math.inf)


def histogram(buffer_io: BufferIO) -> None:
    """Wait for the end of the buffer that `exporters.histogram` counts."""
    sleep_while(IsAlive(buffer_io), math.inf)
