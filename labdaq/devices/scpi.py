"""Talking SCPI, over whatever VISA reaches: USB, network, GPIB, serial."""

import contextlib
import math
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from labdaq.devices.base import DeviceSource
from labdaq.devices.extras import needed
from labdaq.errors import BusyError, LayoutError, NotFoundError, ResourceError, WaitTimeoutError
from labdaq.roles import Parameter

__all__ = ["ScpiInstrument"]

Result = TypeVar("Result")

_MOST_ERRORS = 100  # an instrument whose queue never ends is broken


class ScpiInstrument(DeviceSource):
    """What all SCPI instruments have in common: the connection, questions and answers, the queue of errors.

    To be derived from, as :class:`labdaq.devices.VisaScalars` and :class:`labdaq.devices.VisaWaveform` are; they
    describe the arguments and errors.
    """

    period_s = Parameter(0.0, unit="s", low=0.0, label="time between questions")

    def __init__(
        self,
        resource: str,
        *,
        setup: Sequence[str] = (),
        safe: Sequence[str] = (),
        timeout: float = 2.0,
        period_s: float = 0.0,
        library: str = "",
    ) -> None:
        if not (timeout > 0 and math.isfinite(timeout)):
            raise LayoutError(f"timeout={timeout}: a positive number of seconds")
        self.resource, self.timeout, self.library = resource, timeout, library
        self.setup, self.safe, self.period_s = tuple(setup), tuple(safe), period_s
        self.identity = ""
        """What the instrument answers to ``*IDN?``: maker, model, serial number, firmware."""
        self.device = f"VISA {resource}"
        self._has_asked = False

    # ------------------------------------------------------------------------------------ to talk

    def ask(self, question: str) -> str:
        """The answer to one question, without blanks around it.

        Raises
        ------
        WaitTimeoutError
            There was none within the timeout.
        """
        answer: str = self._ask(question, lambda: self._link.query(question))
        return answer.strip()

    def tell(self, command: str) -> None:
        """Send a command that has no answer."""
        self._ask(command, lambda: self._link.write(command))

    def errors(self) -> list[str]:
        """Read the queue of errors (``SYST:ERR?``) until it is empty; the oldest first.

        Examples
        --------
        An answer looks like ``-113,"Undefined header"``; ``0,"No error"`` is the end and is left out.
        """
        found: list[str] = []
        while len(found) < _MOST_ERRORS:
            answer = self.ask("SYST:ERR?")
            if answer.split(",")[0].strip() in {"0", "+0", "-0"}:
                break
            found.append(answer)
        return found

    def _ask(self, question: str, call: Callable[[], Result]) -> Result:
        with self._telling(question):
            return self._in_background(call)

    # ---------------------------------------------------------------------------------- connection

    def _connect(self, opened: contextlib.ExitStack) -> None:
        visa = needed("pyvisa", "pyvisa", "SCPI instruments")
        self._has_asked = False
        try:
            manager = visa.ResourceManager(self.library)
        except (OSError, ValueError) as error:
            raise ResourceError(f"no VISA on this machine ({error}): pip install 'labdaq[devices]'") from error
        opened.callback(manager.close)
        with self._telling("opening"):
            self._link = manager.open_resource(self.resource)
        opened.callback(self._link.close)
        if not hasattr(self._link, "query"):
            raise NotFoundError(f"{self.resource!r} takes no questions; labdaq.devices.list_devices() shows what does")
        self._link.timeout = 1000 * self.timeout
        self._link.read_termination = self._link.write_termination = "\n"
        self.identity = self.ask("*IDN?")
        opened.callback(self._make_safe)
        self._set_up()

    def _set_up(self) -> None:
        if not self.setup:
            return
        self.errors()  # what is left of those who used it before is not our fault
        for command in self.setup:
            self.tell(command)
        if errors := self.errors():
            raise ResourceError(f"{self.device!r} refused its setup: {'; '.join(errors)}")

    def _make_safe(self) -> None:
        with self._translated("making it safe"):
            for command in self.safe:
                self._link.write(command)

    @contextlib.contextmanager
    def _telling(self, doing: str) -> Iterator[None]:
        with self._translated(doing), self._talking(doing):
            yield

    @contextlib.contextmanager
    def _translated(self, doing: str) -> Iterator[None]:
        """Errors of VISA in our words."""
        visa = needed("pyvisa", "pyvisa", "SCPI instruments")
        codes = visa.constants.StatusCode
        try:
            yield
        except visa.errors.VisaIOError as error:
            text = f"{self.device!r}, {doing!r}: {error.description}"
            if error.error_code == codes.error_timeout:
                raise WaitTimeoutError(
                    f"{text} ({self.timeout} s); is it a question, and the timeout long enough?"
                ) from error
            if error.error_code in {codes.error_resource_busy, codes.error_resource_locked}:
                raise BusyError(f"{text}: close it in the other program first") from error
            if error.error_code in {codes.error_resource_not_found, codes.error_invalid_resource_name}:
                raise NotFoundError(f"{text}; labdaq.devices.list_devices() shows what there is") from error
            raise ResourceError(text) from error
        except visa.errors.InvalidSession as error:
            raise ResourceError(f"{self.device!r}, {doing!r}: {error}") from error

    def _in_turn(self) -> None:
        """Keep the time between two questions."""
        if self._has_asked and self.period_s > 0:
            self._pause(self.period_s)
        self._has_asked = True
