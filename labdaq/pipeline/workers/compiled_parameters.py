"""Parameters of compiled filters: each worker reads them from cells of its own."""

from collections.abc import Sequence
from typing import Any

from labdaq.errors import LayoutError
from labdaq.native import jit
from labdaq.native.cells import Cell, with_cells
from labdaq.roles import Parameter, parameters_of

__all__ = ["Cells", "cells_of", "with_values"]

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
    return jit(cache=False)(with_cells(plain, {id(parameter): cell for parameter, cell in cells}))
