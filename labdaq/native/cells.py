"""Numbers that Python changes while compiled code reads them.

To numba the global names of a function are constants. A cell is a constant, too: the address of a word. Where a
compiled function names it, as ``cell`` or ``cell.value``, the word is read.
"""

from collections.abc import Mapping
from types import CellType as ClosureCell
from types import FunctionType
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import ir as numba_ir
from numba.core.imputils import lower_constant
from numba.core.rewrites import Rewrite, register_rewrite
from numba.core.typing.templates import AttributeTemplate
from numba.extending import infer_getattr, lower_getattr, models, register_model, typeof_impl

__all__ = ["Cell", "with_cells"]


class Cell:
    """A number at a fixed address: int64, float64 or bool, as its first value is.

    Examples
    --------
    >>> from labdaq.native import jit
    >>> level = Cell(30.0)
    >>> @jit(cache=False)
    ... def is_high(height):
    ...     return height > level
    >>> is_high(40.0)
    True
    >>> level.value = 50.0
    >>> is_high(40.0)
    False
    """

    def __init__(self, value: float | bool) -> None:
        self._word = np.array([value], np.float64 if isinstance(value, float) else np.int64)
        self._kind: type = type(value)

    @property
    def address(self) -> int:
        """Of the word."""
        return int(self._word.ctypes.data)

    @property
    def value(self) -> Any:
        """The number; may be set."""
        return self._kind(self._word[0])

    @value.setter
    def value(self, value: float | bool) -> None:
        self._word[0] = value

    def __bool__(self) -> bool:
        # Numba asks constants, and leaves out branches: of a cell nothing is known before it is read.
        raise TypeError("a cell is compared by compiled code only: ask its value")

    def __eq__(self, other: object) -> bool:
        raise TypeError("a cell is compared by compiled code only: ask its value")

    __hash__ = object.__hash__


class _CellType(types.Type):  # type: ignore[misc]
    """What numba knows of a cell."""

    def __init__(self, number: Any) -> None:
        super().__init__(f"cell({number})")
        self.number = number


_NUMBERS = {float: types.float64, int: types.int64, bool: types.boolean}


@typeof_impl.register(Cell)  # type: ignore[untyped-decorator]
def _type_of(cell: Cell, _context: Any) -> _CellType:
    return _CellType(_NUMBERS[cell._kind])


@register_model(_CellType)
class _CellModel(models.PrimitiveModel):  # type: ignore[misc]
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, ir.IntType(64))


@lower_constant(_CellType)  # type: ignore[untyped-decorator]
def _constant(_context: Any, _builder: Any, _kind: Any, cell: Cell) -> Any:
    return ir.Constant(ir.IntType(64), cell.address)


def _load(builder: Any, kind: Any, address: Any) -> Any:
    word = ir.DoubleType() if kind.number == types.float64 else ir.IntType(64)
    value = builder.load(builder.inttoptr(address, word.as_pointer()))
    return builder.trunc(value, ir.IntType(1)) if kind.number == types.boolean else value


@infer_getattr
class _CellAttributes(AttributeTemplate):  # type: ignore[misc]
    key = _CellType

    def resolve_value(self, kind: _CellType) -> Any:
        return kind.number


@lower_getattr(_CellType, "value")  # type: ignore[untyped-decorator]
def _value(_context: Any, builder: Any, kind: Any, address: Any) -> Any:
    return _load(builder, kind, address)


@register_rewrite("before-inference")
class _ReadCells(Rewrite):  # type: ignore[misc]
    """Where a function names a cell, it gets the number."""

    def match(self, _function_ir: Any, block: Any, _typemap: Any, _calltypes: Any) -> bool:
        self._block = block
        return any(_is_cell(one) for one in block.body)

    def apply(self) -> Any:
        made = self._block.copy()
        made.clear()
        cells = set()
        for one in self._block.body:
            if _is_cell(one):
                cell = numba_ir.Var(one.target.scope, f"${one.target.name}.cell", one.loc)
                made.append(numba_ir.Assign(one.value, cell, one.loc))
                number = numba_ir.Expr.getattr(cell, "value", one.loc)
                made.append(numba_ir.Assign(number, one.target, one.loc))
                cells.add(one.target.name)
            elif _is_value_of(one, cells):
                made.append(numba_ir.Assign(one.value.value, one.target, one.loc))
            else:
                made.append(one)
        return made


def _is_cell(one: Any) -> bool:
    if not isinstance(one, numba_ir.Assign) or not isinstance(one.value, numba_ir.Global | numba_ir.FreeVar):
        return False
    return isinstance(one.value.value, Cell) and not one.target.name.endswith(".cell")


def _is_value_of(one: Any, cells: set[str]) -> bool:
    """Whether this is ``cell.value``, where the name stands for the number already."""
    value: Any = getattr(one, "value", None)
    is_attribute = isinstance(value, numba_ir.Expr) and value.op == "getattr" and value.attr == "value"
    return is_attribute and value.value.name in cells


def with_cells(function: FunctionType, cells: Mapping[int, Cell]) -> FunctionType:
    """A copy of a function in which cells stand for some of the objects that it names.

    Parameters
    ----------
    function
        Plain Python.
    cells
        By the ``id`` of the object that each takes the place of.
    """

    def replaced(value: Any) -> Any:
        return cells.get(id(value), value)

    names = {name: replaced(value) for name, value in function.__globals__.items()}
    closure = tuple(ClosureCell(replaced(one.cell_contents)) for one in function.__closure__ or ())
    made = FunctionType(function.__code__, names, function.__name__, function.__defaults__, closure)
    made.__kwdefaults__ = function.__kwdefaults__
    return made
