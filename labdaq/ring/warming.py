"""Compile the engine before it is needed, into the cache that all processes share."""

from types import ModuleType
from typing import Any, get_type_hints

from labdaq.native import clocks, futex
from labdaq.ring import (
    blocking_steps,
    control,
    observing_steps,
    reading_steps,
    sequence_table,
    sequencer,
    waiting,
    writing_steps,
)

__all__ = ["warm"]

_MODULES: tuple[ModuleType, ...] = (
    clocks,
    futex,
    sequencer,
    waiting,
    writing_steps,
    reading_steps,
    observing_steps,
    blocking_steps,
    control,
    sequence_table,
)


def _signature(function: Any) -> tuple[Any, ...]:
    """The numba types that the annotations of a function of plain numbers stand for."""
    from numba import types

    kinds = {int: types.int64, float: types.float64, bool: types.boolean}
    hints = get_type_hints(function.py_func)
    hints.pop("return", None)
    return tuple(kinds[hint] for hint in hints.values())


def warm() -> int:
    """Compile every function of the engine that is not in the cache yet; how many functions there are."""
    functions = {
        id(value): value for module in _MODULES for value in vars(module).values() if hasattr(value, "py_func")
    }
    for function in functions.values():
        function.compile(_signature(function))
    return len(functions)
