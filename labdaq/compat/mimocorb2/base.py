"""What all templates have in common, and the errors they raise."""

from typing import Any

import numpy.typing as npt

from labdaq.compat.mimocorb2.mimo_worker import BufferIO
from labdaq.errors import LabdaqError, LayoutError

__all__ = ["Base", "SetupError", "UfuncError"]


class SetupError(LayoutError, RuntimeError):
    """A worker was given other buffers or settings than it can use.

    Parameters
    ----------
    instance
        Who says so: it has a ``logger`` and a ``name``.
    message
        What is wrong.
    exception
        What came before, if anything did.
    """

    def __init__(self, instance: Any, message: str, exception: BaseException | None = None) -> None:
        text = _told(instance, message, exception)
        super().__init__(text)


class UfuncError(LabdaqError, RuntimeError):
    """The function that was given to a template raised, or returned something impossible.

    Parameters
    ----------
    instance, message, exception
        As for :class:`SetupError`.
    ufunc_input, ufunc_output
        What it was given, and what it returned; for the log.
    """

    def __init__(
        self,
        instance: Any,
        message: str,
        exception: BaseException | None = None,
        ufunc_input: object = None,
        ufunc_output: object = None,
    ) -> None:
        text = _told(instance, message, exception)
        for what, value in (("input", ufunc_input), ("output", ufunc_output)):
            if value is not None:
                instance.logger.error("%s: %s", what, value)
        super().__init__(text)


def _told(instance: Any, message: str, exception: BaseException | None) -> str:
    text = f"{instance.name}: {message}"
    if exception is not None:
        text += f" ({type(exception).__name__}: {exception})"
    instance.logger.error(text)
    return text


class Base:
    """A template, with all that its worker was given.

    Parameters
    ----------
    io
        What the worker was given.

    Attributes
    ----------
    io, read, write, observe, config, logger, name, run_dir, setup_dir
        As in :class:`~labdaq.compat.mimocorb2.mimo_worker.BufferIO`.
    """

    _NEEDS: tuple[int | None, int | None, int | None] = (None, None, None)
    """How many sources, sinks and observed buffers; None for any number, -1 for one at least."""

    def __init__(self, io: BufferIO) -> None:
        self.io = io
        self.read, self.write, self.observe = io.read, io.write, io.observe
        self.config, self.logger, self.name = io.config, io.logger, io.name
        self.run_dir, self.setup_dir = io.run_dir, io.setup_dir
        self.shutdown_sinks = io.shutdown_sinks
        numbers = (len(self.read), len(self.write), len(self.observe))
        for wanted, given, what in zip(self._NEEDS, numbers, ("sources", "sinks", "observes"), strict=True):
            if wanted is None or wanted == given or (wanted < 0 < given):
                continue
            number = "at least 1" if wanted < 0 else wanted
            raise SetupError(self, f"{type(self).__name__} takes {number} {what}, and was given {given}")

    def drain_sources(self) -> None:
        """Read and forget what the sources have, until their end."""
        for source in self.read:
            is_over = False
            while not is_over:
                with source as (_, data):
                    is_over = data is None

    def _check_ufunc(self, ufunc: object) -> None:
        if not callable(ufunc):
            raise UfuncError(self, f"a function is wanted, and not {ufunc!r}")

    def _check_copies(self) -> npt.NDArray[Any]:
        """An event of the source, when all sinks can take it as it is."""
        example = self.io.data_in_examples[0]
        for name, other in zip(self.io.buffer_names_out, self.io.data_out_examples, strict=True):
            if (other.shape, other.dtype) != (example.shape, example.dtype):
                raise SetupError(
                    self,
                    f"{type(self).__name__} copies events, and those of its source ({example.dtype}, shape "
                    f"{example.shape}) are others than those of {name!r} ({other.dtype}, shape {other.shape})",
                )
        return example
