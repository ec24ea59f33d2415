"""Commands typed on the keyboard, or written into a pipe, looked for without waiting and without a thread."""

import os
import select
import sys
from typing import Any

__all__ = ["Keyboard"]


class Keyboard:
    r"""Lines of the standard input, where it has a descriptor that can be asked.

    Parameters
    ----------
    is_used
        False gives no commands, and leaves the input alone.
    source
        An open file; the standard input by default.

    Examples
    --------
    >>> here, there = os.pipe()
    >>> keyboard = Keyboard(source=os.fdopen(here))
    >>> os.write(there, b"p\nE\n")
    4
    >>> keyboard.commands(), keyboard.commands()
    (['P', 'E'], [])
    >>> os.close(there); keyboard.source.close()
    """

    def __init__(self, is_used: bool = True, source: Any = None) -> None:
        self.source = sys.stdin if source is None else source
        self._descriptor = self._find() if is_used else None
        self._rest = b""

    def _find(self) -> int | None:
        if os.name != "posix":  # there select() knows sockets only
            return None
        try:
            return int(self.source.fileno())
        except (AttributeError, OSError, ValueError):  # a notebook, or closed
            return None

    def commands(self) -> list[str]:
        """What was typed since the last call, in capitals."""
        while self._descriptor is not None and select.select([self._descriptor], [], [], 0)[0]:
            try:
                text = os.read(self._descriptor, 4096)
            except OSError:
                text = b""
            if not text:  # closed: nothing will come any more
                self._descriptor = None
                text = b"\n" if self._rest else b""
            self._rest += text
        *lines, self._rest = self._rest.split(b"\n")
        return [line.decode("utf-8", "replace").strip().upper() for line in lines if line.strip()]
