"""Cells: compiled code reads what Python wrote, wherever it names them."""

import pytest

from labdaq.native import jit
from labdaq.native.cells import Cell, with_cells

level, steps, switch = Cell(30.0), Cell(3), Cell(True)


@jit(cache=False)
def reading(x):
    total = -level + abs(level) + level**2 / steps + max(level.value, 1.0)
    for _ in range(steps):
        total += 1
    if switch:
        total += 1000
    if steps == 3 and x > level:
        total += 10000
    return total


def expected(x, level, steps, switch):
    total = level**2 / steps - level + abs(level) + max(level, 1.0) + steps
    return total + 1000 * switch + 10000 * (steps == 3 and x > level)


@pytest.mark.parametrize("values", [(30.0, 3, True), (50.0, 2, False), (-4.0, 3, True), (30.0, 3, False)])
def test_compiled_code_reads_them_wherever_it_names_them(values):
    level.value, steps.value, switch.value = values
    assert reading(40.0) == expected(40.0, *values)
    assert (level.value, steps.value, switch.value) == values
    assert [type(cell.value) for cell in (level, steps, switch)] == [float, int, bool]


def test_a_copy_of_a_function_reads_cells_where_it_named_other_things():
    limit, gain = object(), object()

    def scaled(x, offset=1):
        return x * gain if x > limit else offset

    cells = {id(limit): Cell(2.0), id(gain): Cell(10)}
    with_them = jit(cache=False)(with_cells(scaled, cells))
    assert (with_them(3.0), with_them(1.0)) == (30.0, 1)
    cells[id(limit)].value = 0.0
    assert with_them(1.0) == 10.0


def test_python_does_not_compare_them():
    with pytest.raises(TypeError, match="value"):
        bool(Cell(1))
    with pytest.raises(TypeError, match="value"):
        Cell(1) == 1  # noqa: B015 - it raises
