"""How a user's function is called, and what its answer means.

Two forms of filters are told apart by the number of arguments that they must be given:

``f(event) -> result``
    None or False drops the event, True passes it on, arrays are new records.
``f(data, out) -> n``
    Writes n records into ``out``; 0 drops the event. This is the form that can be compiled.
"""

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from labdaq.errors import LayoutError

__all__ = ["INPUT", "name_of", "records_of", "required_arguments"]

INPUT = object()
"""In place of a record: the input itself, unchanged."""


def name_of(worker: Any) -> str:
    """What to call a function or object when its user gave no name."""
    name = getattr(worker, "__name__", None) or type(worker).__name__
    return str(name).strip("<>")


def required_arguments(function: Callable[..., Any]) -> int:
    """How many positional arguments a function must be given; 1 where that cannot be found out.

    Examples
    --------
    >>> required_arguments(lambda event: None), required_arguments(lambda data, out, gain=1: 0)
    (1, 2)
    """
    try:
        parameters = inspect.signature(getattr(function, "py_func", function)).parameters.values()
    except (TypeError, ValueError):
        return 1
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return sum(p.kind in kinds and p.default is inspect.Parameter.empty for p in parameters)


def records_of(result: Any, outputs: Sequence[Any], who: str) -> list[list[Any]]:
    """The records for each output in what ``f(event)`` returned; INPUT stands for the event itself.

    Parameters
    ----------
    result
        What the function returned.
    outputs
        The rings of the outputs: their name, dtype and shape.
    who
        The worker, for messages.

    Raises
    ------
    LayoutError
        For anything that does not fit; names the worker, the ring, what was expected and what was given.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> pulses = SimpleNamespace(name="pulses", dtype=np.dtype("f8"), shape=(2,))
    >>> records_of(np.zeros(2), [pulses], "filter 'find'")
    [[array([0., 0.])]]
    >>> records_of((None, np.ones((3, 2))), [pulses, pulses], "filter 'find'")[1]
    [array([1., 1.]), array([1., 1.]), array([1., 1.])]
    """
    count = len(outputs)
    if result is None or result is False:
        return [[]] * count
    if result is True:
        return [[INPUT]] * count
    if isinstance(result, np.bool_):
        return [[INPUT] if result else []] * count
    if count == 1 and not isinstance(result, tuple):
        return [_entry(result, outputs[0], who)]
    if not isinstance(result, tuple | list) or len(result) != count:
        raise LayoutError(
            f"{who} has {count} output{'s' if count > 1 else ''} ({', '.join(ring.name for ring in outputs)}) and must "
            f"return None, a bool, or {'a record' if count == 1 else f'a tuple of {count}'}, and gave {_told(result)}"
        )
    return [_entry(entry, ring, who) for entry, ring in zip(result, outputs, strict=True)]


def _entry(entry: Any, ring: Any, who: str) -> list[Any]:
    """The records for one output."""
    if entry is None or entry is False or (isinstance(entry, np.bool_) and not entry):
        return []
    if entry is True or isinstance(entry, np.bool_):
        return [INPUT]
    if isinstance(entry, list):
        return [record for one in entry for record in _records(one, ring, who)]
    return _records(entry, ring, who)


def _records(given: Any, ring: Any, who: str) -> list[Any]:
    if isinstance(given, np.generic) and given.dtype == ring.dtype and ring.shape == ():
        return [given]
    if not isinstance(given, np.ndarray) or given.dtype != ring.dtype:
        raise _misfit(given, ring, who)
    if given.shape == ring.shape:
        return [given]
    if given.shape[1:] == ring.shape and given.ndim == len(ring.shape) + 1:
        return list(given)
    raise _misfit(given, ring, who)


def _misfit(given: Any, ring: Any, who: str) -> LayoutError:
    advice = "; say True to pass the event on" if isinstance(given, int | float | np.number) else ""
    return LayoutError(
        f"{who} must give ring {ring.name!r} {ring.dtype} of shape {ring.shape}: it gave {_told(given)}{advice}"
    )


def _told(value: Any) -> str:
    if isinstance(value, np.ndarray | np.generic):
        return f"{value.dtype} of shape {value.shape}"
    if isinstance(value, tuple | list):
        return f"{len(value)} results"
    return f"{value!r:.60}"
