"""A run of a suite, from its setup file to its files of data."""

import logging
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from labdaq.compat.mimocorb.bufferinfoGUI import plot_bufferinfo
from labdaq.compat.mimocorb.control import buffer_control
from labdaq.compat.mimocorb.displays import dashboard_of, has_page, plots_of, show
from labdaq.compat.mimocorb.keyboard import Keyboard
from labdaq.compat.mimocorb.mimo_buffer import NewBuffer
from labdaq.compat.mimocorb.run_folder import new_run_folder
from labdaq.compat.mimocorb.suite import read_suite
from labdaq.compat.mimocorb.suite_run import SuiteRun
from labdaq.errors import NotFoundError, StateError
from labdaq.pipeline.declared import DeclaredRing
from labdaq.pipeline.running.attached import attach

__all__ = ["run_mimoDAQ"]

_STATUS_S = 1.0
_ABORT_S = 0.2

logger = logging.getLogger("labdaq.compat.mimocorb")


class run_mimoDAQ:  # noqa: N801
    """Take data with a suite of buffers and functions, set up by a YAML file of v1 or of mimoCoRB2.

    A run ends after ``runtime`` seconds of taking data, after ``runevents`` events in the first buffer (exactly
    so many), when its source is exhausted, by a command, or with Ctrl-C. What was taken until then goes to its
    end, except after Ctrl-C, which takes a second at most. Commands are lines of the standard input (with
    ``KBD_control``) or come by :meth:`command`: P pause, R resume, S stop, E end, A abort.

    Each run is a scan of the store ``runs`` beside the suite: ``labdaq.runs()`` lists them there.

    Parameters
    ----------
    setup_filename
        The YAML file; by default the first argument of the program. All paths in it start from its folder.
    verbose
        0: no output; 1: what happens; 2: the state too, once a second, on the standard error.
    debug
        Log more.
    rings
        What stands for the buffers from run to run, for those who show them themselves. By default, in the kernel of
        a notebook, panel and plots are shown where v1 opens windows.

    Raises
    ------
    NotFoundError
        When a file is not there.
    LayoutError, DataError
        When something in it is not possible; the message names file, key and value.

    Attributes
    ----------
    directory_prefix : str
        The folder of the run.
    bc : buffer_control
        Buffers and workers, after :meth:`setup`.
    kept : SuiteRun
        The run as labdaq knows runs, after :meth:`setup`: its state, its numbers, its record.
    info : plot_bufferinfo
        The state of the run, for displays.
    """

    bc: buffer_control
    kept: SuiteRun
    info: plot_bufferinfo

    def __init__(
        self,
        setup_filename: str | Path | None = None,
        verbose: int = 2,
        debug: bool = False,
        *,
        rings: Mapping[str, DeclaredRing] | None = None,
    ) -> None:
        if setup_filename is None:
            if len(sys.argv) < 2:
                raise NotFoundError(
                    "which suite? Give the name of its setup file, here or as the argument of the program"
                )
            setup_filename = sys.argv[1]
        self.setup_filename = str(setup_filename)
        self.verbose, self.debug = verbose, debug
        if debug:
            logger.setLevel(logging.DEBUG)
        self.suite = read_suite(setup_filename)
        self.folder = new_run_folder(self.suite)
        self.directory_prefix = f"{self.folder}/"
        self._rings = rings
        self._commands: list[str] = []
        self._shown_at = 0.0
        self._is_set_up = False

    def setup(self) -> None:
        """Make the buffers and what the workers need, and begin the record of the run."""
        self.kept = SuiteRun(self.suite, self.folder, self.command, self._rings)
        self.bc = self.kept.bc
        self.info = plot_bufferinfo(None, self.bc.ringbuffer_names)
        self.kept.set_up()
        self._is_set_up = True
        self._say(f"{self.bc.display_layout()}\n{self.bc.display_functions()}\nData go to {self.folder}\n")

    @property
    def ringbuffers(self) -> dict[str, NewBuffer]:
        """The buffers by name."""
        return self.bc.ringbuffers

    def command(self, command: str) -> None:
        """P pause, R resume, S stop taking data, E end, A abort; may be called from any thread."""
        self._commands.append(command)

    def run(self) -> None:
        """Take data until the end of the run.

        Raises
        ------
        StateError
            When a function failed; the message has its name and traceback. Everything else was ended in order.
        """
        if not self._is_set_up:
            self.setup()
        keyboard = Keyboard(self.suite.kbd_control)
        if self._rings is None and has_page():
            show(dashboard_of(attach(self.folder), plots_of(self.suite, self.bc.rings)))
        try:
            self.bc.start_workers(hold=True)
            self.kept.has_begun.set()
            while self._goes_on(keyboard):
                self.bc.poll()
                self._show()
        except KeyboardInterrupt:
            self.kept.is_aborted = True
            self.kept.reason = "interrupted"
            self._say("\ninterrupted\n")
        finally:
            self.end()
        self._raise_failures()

    def _goes_on(self, keyboard: Keyboard) -> bool:
        """Look at all that may end a run; whether it goes on."""
        self._commands += keyboard.commands()
        while self._commands:
            command = self._commands.pop(0)
            if command in {"E", "A"}:
                self.kept.reason = self.kept.reason or "it was ended by a command"
                self.kept.is_aborted |= command == "A"
                return False
            action = {"P": self.bc.pause, "R": self.bc.resume, "S": self.bc.stop}.get(command)
            if action is None:
                self._say(f"{command!r} is no command: P pause, R resume, S stop, E end, A abort\n")
            else:
                action()
        if self.bc.status == "Stopped":
            self.kept.reason = self.kept.reason or "it was stopped"
            return False
        return not self._reason_to_stop()

    def _reason_to_stop(self) -> str:
        bc = self.bc
        if bc.failures:
            reason = f"{bc.failures[0].name} failed"
        elif 0 < bc.runtime <= bc.active_s:
            reason = "the time of the run is over"
        elif bc.has_enough:
            reason = "there are as many events as were wanted"
        elif bc.is_exhausted:
            reason = "the source has no more events"
        else:
            return ""
        self.kept.reason = reason
        self._say(f"\n{reason}\n")
        return reason

    def end(self, twait: float = 3.0) -> None:
        """End the run: let data come to their end, end all workers, remove the buffers. Twice is allowed.

        Parameters
        ----------
        twait
            Seconds to wait for workers while nothing moves.
        """
        if not self._is_set_up or self.bc.status == "Shutdown":
            return
        self._show(at_once=True)
        try:
            self.bc.shutdown(*((_ABORT_S, _ABORT_S) if self.kept.is_aborted else (twait, None)))
        except KeyboardInterrupt:  # its own clean-up is done
            self._say("\ninterrupted once more\n")
        self._say(f"\n{self.bc.active_s:.2f} s, events: {self.counts}\n")

    @property
    def counts(self) -> dict[str, int]:
        """Events that came into each buffer, after the run."""
        return self.bc.counts

    def _raise_failures(self) -> None:
        failed = self.bc.failures
        if failed:
            others = sorted({worker.name for worker in failed[1:]} - {failed[0].name})
            also = f"\n{', '.join(others)} failed too" if others else ""
            raise StateError(f"function {failed[0].name!r} of the suite failed:\n{failed[0].reason.rstrip()}{also}")

    # ------------------------------------------------------------------------------------ status

    def _show(self, *, at_once: bool = False) -> None:
        now = time.monotonic()
        if now - self._shown_at < _STATUS_S and not at_once:
            return
        self._shown_at = now
        numbers: dict[str, list[Any]] = {}
        deadtime = 0.0
        for name, buffer in self.ringbuffers.items():
            events, filled, rate, dead = buffer.buffer_status()
            deadtime = deadtime if numbers else dead
            numbers[name] = [events, filled, rate]
        first = next(iter(numbers.values()), [0])[0]
        all_alive = all(worker.is_alive() for worker in self.bc.process_list)
        self.info.update((self.bc.status, self.bc.active_s, first, deadtime, numbers, all_alive))
        if self.verbose > 1:
            rates = "  ".join(f"{name}: {one[0]} ({one[1]}) {one[2]:.3g} Hz" for name, one in numbers.items())
            self._say(f"\r{self.bc.status} {int(self.bc.active_s)} s  {rates}   ")

    def _say(self, text: str) -> None:
        if self.verbose > 0:
            sys.stderr.write(text)
            sys.stderr.flush()
