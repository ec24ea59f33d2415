"""Keys pressed while a command runs, and signals: looked for without waiting and without a thread."""

import contextlib
import os
import select
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any

__all__ = ["pressed_keys", "signals_as_list"]


class Keys:
    """The keys of a terminal, one by one and without Enter."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor: int | None = descriptor

    def pressed(self) -> str:
        """What was pressed since the last call."""
        text = b""
        while self._descriptor is not None and self._is_ours() and select.select([self._descriptor], [], [], 0)[0]:
            try:
                new = os.read(self._descriptor, 1024)
            except OSError:
                new = b""
            if not new:  # the terminal is gone
                self._descriptor = None
            text += new
        return text.decode("ascii", "ignore")

    def _is_ours(self) -> bool:
        """Whether this process is in the foreground: others are stopped when they read."""
        try:
            return os.tcgetpgrp(self._descriptor or 0) == os.getpgrp()
        except OSError:
            self._descriptor = None
            return False


class NoKeys:
    """In place of the keys where there is no terminal."""

    @staticmethod
    def pressed() -> str:
        """Nothing."""
        return ""


@contextlib.contextmanager
def pressed_keys() -> Iterator[Keys | NoKeys]:
    """Have single keys while this lasts; the terminal is as before afterwards, however it ends.

    Gives no keys where the standard input is no terminal of this process in the foreground, or not on POSIX.
    """
    descriptor = _terminal()
    if descriptor is None:
        yield NoKeys()
        return
    import termios
    import tty

    before = termios.tcgetattr(descriptor)
    try:
        tty.setcbreak(descriptor, termios.TCSANOW)
        yield Keys(descriptor)
    finally:
        with contextlib.suppress(termios.error), _ignored("SIGTTOU"):  # sent to who is in the background by now
            termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


def _terminal() -> int | None:
    """The descriptor of the standard input, if it is a terminal in whose foreground this process is."""
    try:
        descriptor = sys.stdin.fileno()
        is_ours = os.isatty(descriptor) and os.tcgetpgrp(descriptor) == os.getpgrp()
    except (AttributeError, OSError, ValueError):  # closed, a test, or no POSIX
        return None
    return descriptor if is_ours else None


@contextlib.contextmanager
def _ignored(name: str) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    number = getattr(signal, name)
    before = signal.signal(number, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(number, before)


@contextlib.contextmanager
def signals_as_list(*names: str) -> Iterator[list[str]]:
    """Collect the names of signals, instead of what they do otherwise.

    Parameters
    ----------
    names
        Such as ``"SIGINT"``; those that the system does not know, or that are ignored (``nohup``), are left alone.

    Examples
    --------
    >>> with signals_as_list("SIGINT") as received:
    ...     signal.raise_signal(signal.SIGINT)
    >>> received
    ['SIGINT']
    """
    received: list[str] = []
    before: dict[int, Any] = {}

    def note(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
        received.append(signal.Signals(number).name)

    try:
        if threading.current_thread() is threading.main_thread():
            for number in (getattr(signal, name) for name in names if hasattr(signal, name)):
                if number == signal.SIGINT or signal.getsignal(number) != signal.SIG_IGN:
                    before[number] = signal.signal(number, note)
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
