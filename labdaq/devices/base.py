"""What all sources with a device have in common: they are opened, interrupted and closed."""

import contextlib
import threading
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from types import TracebackType
from typing import Self, TypeVar

from labdaq.devices.locks import held
from labdaq.errors import BusyError, ClosedError, EndOfDataError, LabdaqError, ResourceError, WaitTimeoutError

__all__ = ["DeviceSource"]

Result = TypeVar("Result")

_LOOK_S = 0.02  # how often a waiting acquire looks whether it is interrupted (seconds)


class _Session:
    """What is there between open and close, and only then: a source that is closed can be sent to a process."""

    def __init__(self) -> None:
        self.opened = contextlib.ExitStack()
        self.interrupted = threading.Event()
        self.helper: ThreadPoolExecutor | None = None


class DeviceSource(ABC):
    """The base of the sources with a device.

    Write your own by giving `device` and two methods: ``_connect(opened)``, which registers on the stack `opened`
    how to undo each step right after it, and ``acquire(event)``. Then ``close`` undoes all steps in turn, however
    the run ends, and so does an ``open`` that fails half way.

    Raises
    ------
    BusyError
        From ``open``: somebody else uses the device; the message names who.

    Examples
    --------
    >>> class Counter(DeviceSource):
    ...     device = "counter 3"
    ...     def _connect(self, opened):
    ...         opened.callback(print, "safe")
    ...         self.count = 0
    ...     def acquire(self, event):
    ...         self._check()
    ...         self.count += 1
    >>> with Counter() as counter:
    ...     counter.acquire(None)
    ...     counter.interrupt()
    ...     counter.acquire(None)
    Traceback (most recent call last):
    labdaq.errors.EndOfDataError: 'counter 3' was interrupted
    """

    device: str = ""
    """Name of the instrument: it has one user at a time."""
    locks_device = True
    """`open` sees to that, when it knows the full name."""
    run: str = ""
    """Name of the run, for others who want the device, too."""
    _session: _Session | None = None
    _losses: Counter[str] | None = None

    # ------------------------------------------------------------------------------ for all who use it

    def open(self) -> None:
        """Take the device and prepare it. What fails half way is undone."""
        if self._session is not None:
            raise BusyError(f"this source has {self.device!r} open already: close it first, or make another source")
        self._losses = Counter()
        self._resolve()
        self._session = session = _Session()
        session.opened.callback(setattr, self, "_session", None)
        try:
            if self.device:
                session.opened.enter_context(held(self.device, self.run))
            self._connect(session.opened)
        except BaseException:
            with contextlib.suppress(LabdaqError, OSError):  # what made it fail is what has to be told
                self.close()
            raise

    def close(self) -> None:
        """Put the device into its safe state and let others have it. Closing twice is fine."""
        session = self._session
        if session is None:
            return
        session.interrupted.set()
        try:
            with session.opened:
                if session.helper is not None:
                    self._wake()
                    session.helper.shutdown()
        except LabdaqError:
            raise
        except OSError as error:
            raise ResourceError.of(error, "putting it into its safe state", self.device) from error

    def interrupt(self) -> None:
        """End what waits for the device, now and until it is opened again; may be called from any thread."""
        session = self._session
        if session is not None:
            session.interrupted.set()
            self._wake()

    def losses(self) -> dict[str, int]:
        """Reason, and number of events that were lost for it since it was opened."""
        return dict(self._losses or {})

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.close()
        except ResourceError:
            if error is None:  # else the device has gone, and that was told already
                raise

    # ------------------------------------------------------------------------------- for those who derive

    def _resolve(self) -> None:  # noqa: B027 - a hook, which may be left as it is
        """Find out the full name of the device, before it is locked."""

    @abstractmethod
    def _connect(self, opened: contextlib.ExitStack) -> None:
        """Connect and prepare; register on `opened` how each step is undone."""

    def _wake(self) -> None:  # noqa: B027 - likewise
        """Make a call that waits for the device return; called from another thread. May be called at any time."""

    def _check(self) -> _Session:
        """Raise if there is nothing to be had from the device any more."""
        session = self._session
        if session is None:
            raise ClosedError(f"{self.device!r} is not open: call open() first")
        if session.interrupted.is_set():
            raise EndOfDataError(f"{self.device!r} was interrupted")
        return session

    def _lost(self, reason: str, number: int = 1) -> None:
        if self._losses is not None and number:
            self._losses[reason] += number

    def _pause(self, seconds: float) -> None:
        """Wait, unless it is interrupted."""
        self._check().interrupted.wait(seconds)
        self._check()

    def _in_background(self, call: Callable[[], Result]) -> Result:
        """The result of a call that cannot be interrupted itself: it is left to a thread, which `close` waits for."""
        session = self._check()
        if session.helper is None:
            session.helper = ThreadPoolExecutor(1, thread_name_prefix=f"labdaq {self.device}")
        future = session.helper.submit(call)
        while not wait([future], _LOOK_S).done:
            self._check()
        return future.result()

    @contextlib.contextmanager
    def _talking(self, doing: str) -> Iterator[None]:
        """Tell what the system said in our words; what fails because it was interrupted is the end of the data."""
        try:
            yield
        except LabdaqError:
            raise
        except TimeoutError as error:
            self._check()
            raise WaitTimeoutError(f"{doing}: {self.device!r} did not answer in time; is it switched on?") from error
        except OSError as error:
            self._check()
            raise ResourceError.of(error, doing, self.device) from error
