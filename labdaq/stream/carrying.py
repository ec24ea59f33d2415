"""A thread that carries samples from a stream, or to one, until it is told to end or there are no more."""

import threading
from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self

from labdaq.errors import ClosedError, EndOfDataError, WaitTimeoutError

__all__ = ["Carrying"]


class Carrying(ABC):
    """A context manager that ends it.

    Attributes
    ----------
    nsample : int
        Samples that were carried so far.
    """

    def __init__(self) -> None:
        self.nsample = 0
        self._is_over = threading.Event()
        self._error: BaseException | None = None
        self._thread: threading.Thread | None = None

    def _begin(self, name: str) -> None:
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._carry()
        except (ClosedError, EndOfDataError):
            pass
        except BaseException as error:  # noqa: BLE001 - raised where it is waited for or closed
            self._error = error

    @abstractmethod
    def _carry(self) -> None:
        """Do the work, until there is no more."""

    def wait(self, timeout: float | None = None) -> int:
        """Wait until there is no more; how many samples there were.

        Raises
        ------
        WaitTimeoutError
            It goes on.
        LabdaqError
            What ended it, when that was not the end.
        """
        if self._thread is not None:
            self._thread.join(timeout)
            if self._thread.is_alive():
                raise WaitTimeoutError(f"it goes on, after {self.nsample} samples")
        error, self._error = self._error, None
        if error is not None:
            raise error
        return self.nsample

    def close(self) -> None:
        """End; what went wrong is raised here. Twice is allowed."""
        self._is_over.set()
        self.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
