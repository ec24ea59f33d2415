"""What compiled filters name: constants, which are compiled in, and parameters, which are read from cells."""

from collections.abc import Sequence
from types import FunctionType
from typing import Any

import numpy as np

from labdaq.errors import LayoutError
from labdaq.native import jit
from labdaq.native.cells import Cell, with_cells
from labdaq.roles import Parameter, parameters_of

__all__ = ["Cells", "cells_of", "check_compilable", "compiled", "named_in", "with_values"]

Cells = Sequence[tuple[Parameter, Cell]]
"""Parameters, and where their values are for compiled code."""


def cells_of(function: Any, who: str) -> Cells:
    """A cell for each parameter that a filter names.

    Raises
    ------
    LayoutError
        A parameter is text, or is named by a function which the filter calls.
    """
    plain = getattr(function, "py_func", function)
    named = {id(value) for value in _names_of(plain)}
    cells = []
    for name, parameter in parameters_of(plain).items():
        if id(parameter) not in named:
            raise LayoutError(
                f"{who} runs compiled, and a function that it calls uses parameter {name!r}: use it in the filter "
                "itself, and pass its value on"
            )
        if isinstance(parameter.value, str):
            raise LayoutError(f"{who} runs compiled, and its parameter {name!r} is text: take numbers, or a switch")
        cells.append((parameter, Cell(parameter.value)))
    return cells


def _names_of(function: Any) -> list[Any]:
    """What a function finds under its global names and in its closure."""
    names = [function.__globals__.get(name) for name in function.__code__.co_names]
    return names + [cell.cell_contents for cell in function.__closure__ or ()]


def with_values(function: Any, cells: Cells) -> Any:
    """The function as compiled code that reads its parameters from cells."""
    plain = getattr(function, "py_func", function)
    return compiled(with_cells(plain, {id(parameter): cell for parameter, cell in cells}))


def compiled(function: Any) -> Any:
    """The function as compiled code; an index beyond its records is an error there, too."""
    return function if hasattr(function, "py_func") else jit(cache=False, boundscheck=True)(function)


def check_compilable(function: Any, who: str) -> None:
    """Refuse what cannot be compiled whatever is in it.

    Raises
    ------
    LayoutError
        It is an object, a method or a partial.
    """
    if not isinstance(getattr(function, "py_func", function), FunctionType):
        raise LayoutError(
            f"{who}: {function!r:.60} cannot run compiled: a plain function f(data, out) can, and may name parameters, "
            "constants and other compiled functions; otherwise run it in threads or processes"
        )


class _Same:
    """Equal to itself only, and kept, so that no other object gets its place."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self.value is other.value

    def __hash__(self) -> int:
        return id(self.value)


def named_in(function: Any) -> tuple[Any, ...]:
    """What a function names, as something to compare: it is compiled in, and has to be again when it was changed."""
    return tuple(_comparable(value) for value in _names_of(getattr(function, "py_func", function)))


def _comparable(value: Any) -> Any:
    if isinstance(value, bool | int | float | complex | str | bytes) or value is None:
        return type(value), repr(value)
    if isinstance(value, tuple):
        return tuple(_comparable(one) for one in value)
    if isinstance(value, np.ndarray):
        return value.dtype.str, value.shape, value.tobytes()
    return _Same(value)
