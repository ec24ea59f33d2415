"""A run in a terminal: one line that shows what it is doing, keys and signals that control it."""

import contextlib
import shutil
import sys
import time
from typing import TYPE_CHECKING, TextIO

from labdaq.cli.keys import pressed_keys, signals_as_list
from labdaq.errors import StateError

if TYPE_CHECKING:
    from collections.abc import Callable

    from labdaq.pipeline import Pipeline
    from labdaq.pipeline.running.run import Run
    from labdaq.pipeline.running.snapshots import Snapshot

__all__ = ["KEYS", "StatusLine", "follow"]

KEYS = {"p": "pause", "r": "resume", "s": "stop", "a": "abort"}
"""What keys do."""

_LOOK_S = 0.1
_SHOW_S = 0.25
_LOG_S = 10.0


class StatusLine:
    """What a run is doing, on the standard error: in one line of a terminal, or as a line now and then.

    Parameters
    ----------
    run
        The run.
    out
        Where to; None shows nothing.
    """

    def __init__(self, run: "Run", out: TextIO | None) -> None:
        from labdaq.pipeline.running.snapshots import Observation

        self._run, self._out = run, out
        self._observation = Observation(run)
        self._is_terminal = out is not None and out.isatty()
        self._shown_s, self._events = time.monotonic(), 0
        self.note = ""
        """Said at the end of the line: why a key did nothing."""

    def show(self) -> None:
        """Show it again when it is time."""
        elapsed_s = time.monotonic() - self._shown_s
        if self._out is None or elapsed_s < (_SHOW_S if self._is_terminal else _LOG_S):
            return
        with contextlib.suppress(ValueError):  # the run ended meanwhile, and its numbers are put away
            now = self._observation.now()
            rate_hz = (now.events - self._events) / elapsed_s
            self._shown_s, self._events = time.monotonic(), now.events
            self._write(f"{status_of(now, rate_hz)}  {self.note}".rstrip())

    def _write(self, text: str) -> None:
        if self._is_terminal:
            width = max(shutil.get_terminal_size().columns - 1, 20)
            text = f"\r{text[:width]}\x1b[K"
        self._say(text if self._is_terminal else f"{text}\n")

    def _say(self, text: str) -> None:
        try:
            if self._out is not None:
                self._out.write(text)
                self._out.flush()
        except OSError:  # nobody looks any more; data are taken all the same
            self._out = None

    def end(self) -> None:
        """Leave the line."""
        if self._is_terminal:
            self._say("\r\x1b[K")


def status_of(now: "Snapshot", rate_hz: float) -> str:
    """The state of a run in a line: events, rate, dead time, and how full each ring is."""
    fills = "  ".join(f"{ring.name} {100 * ring.fill:.0f} %" for ring in now.rings)
    return (
        f"{now.state.lower()}  {now.seconds:.1f} s  {now.events} events  {rate_hz:.4g}/s  "
        f"dead {100 * now.deadtime:.2g} %  {fills}"
    )


def follow(pipeline: "Pipeline", start: "Callable[[], Run]", *, quiet: bool = False) -> bool:
    """Start a run, show it until it is over, and do what keys and signals ask for.

    Ctrl-C drains and a second one aborts, SIGTERM and SIGHUP drain; while the run starts they are remembered. The
    terminal and the signals are as before afterwards, however it ends.

    Returns
    -------
    bool
        Whether it was interrupted by Ctrl-C.
    """
    is_interrupted = False
    with signals_as_list("SIGINT", "SIGTERM", "SIGHUP") as signals, pressed_keys() as keys:
        run = start()
        status = StatusLine(run, None if quiet else sys.stderr)
        try:
            while not run.wait(_LOOK_S):
                wanted = [KEYS[key] for key in keys.pressed().lower() if key in KEYS]
                while signals:
                    is_int = signals.pop(0) == "SIGINT"
                    wanted.append("abort" if is_int and is_interrupted else "stop")
                    is_interrupted |= is_int
                for command in wanted:
                    status.note = _done(pipeline, command)
                status.show()
        finally:
            status.end()
    return is_interrupted


def _done(pipeline: "Pipeline", command: str) -> str:
    """Do it; what there is to say about it."""
    try:
        getattr(pipeline, command)()
    except StateError as error:
        return str(error)
    return ""
