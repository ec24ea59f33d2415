"""Compile what a store needs before it is needed: how processes wait for each other."""

import tempfile
import threading
from pathlib import Path

from labdaq.store.embedded.bell import Bell

__all__ = ["warm"]


def warm() -> None:
    """Let one thread wait for another at a bell."""
    with tempfile.TemporaryDirectory() as folder:
        bell, is_rung = Bell(Path(folder) / "bell"), threading.Event()

        def ring() -> None:
            is_rung.set()
            bell.ring()

        ringer = threading.Timer(0.01, ring)
        ringer.start()
        bell.wait(is_rung.is_set, 5.0)
        ringer.join()
        bell.close()
