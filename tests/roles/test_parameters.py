"""Parameters: checked, used like their value, and found where they are."""

import math

import numpy as np
import pytest

from labdaq.errors import LayoutError
from labdaq.roles import Parameter, parameters_of

LEVEL = Parameter(30.0, unit="mV", low=0, high=500)


@pytest.mark.parametrize("wrong", [-1, 501, math.nan, math.inf, "30", True, None, [3]])
def test_what_is_not_possible_changes_nothing(wrong):
    level = Parameter(30.0, unit="mV", low=0, high=500)
    with pytest.raises(LayoutError, match="not possible"):
        level.set(wrong)
    assert level.value == 30.0


@pytest.mark.parametrize(
    ("parameter", "good", "wrong"),
    [
        (Parameter(3), 4, 4.5),
        (Parameter(1.5), 2, "2"),
        (Parameter("rising", choices=("rising", "falling")), "falling", "both"),
        (Parameter(True), False, 0),
        (Parameter(5, choices=[5, 10]), 10, 7),
        (Parameter(5, low=1), 10**9, 0),
    ],
)
def test_the_first_value_says_what_kind_it_is(parameter, good, wrong):
    parameter.set(good)
    assert parameter.value == good
    assert type(parameter.value) is type(parameter.default)
    with pytest.raises(LayoutError):
        parameter.set(wrong)
    assert parameter.value == good


def test_limits_hold_for_the_first_value_too():
    with pytest.raises(LayoutError, match="between 0 mV and 10 mV"):
        Parameter(30.0, unit="mV", low=0, high=10)


def test_it_is_used_like_its_value():
    level = Parameter(30.0)
    assert (level + 1, 1 + level, level - 1, 40 - level, 2 * level, level / 2, 60 / level, -level) == (
        31,
        31,
        29,
        10,
        60,
        15,
        2,
        -30,
    )
    assert level > 20
    assert level >= 30
    assert level < 31
    assert level <= Parameter(30.0)
    assert (float(level), int(level), bool(Parameter(0))) == (30.0, 30, False)


def test_all_arithmetic_of_its_value():
    seven, half = Parameter(7), Parameter(2.5)
    assert (seven % 4, 10 % seven, seven // 2, 15 // seven, 2**seven, seven**2) == (3, 3, 3, 2, 128, 49)
    assert (divmod(seven, 2), divmod(15, seven), divmod(seven, seven)) == ((3, 1), (2, 1), (1, 0))
    assert (half % 1, 6 // half, 4**half, round(half), round(Parameter(1.26), 1)) == (0.5, 2.0, 32.0, 2, 1.3)
    assert (np.arange(9) % seven).tolist() == [0, 1, 2, 3, 4, 5, 6, 0, 1]


def test_a_whole_number_counts_and_points():
    three = Parameter(3)
    assert list(range(three)) == [0, 1, 2]
    assert ("abcdef"[three], "abcdef"[:three], np.zeros(three).shape) == ("d", "abc", (3,))
    with pytest.raises(TypeError):
        range(Parameter(3.0))


def test_it_is_written_like_its_value():
    level = Parameter(7.25, unit="mV", label="level")
    assert f"{level:.1f} {Parameter(7):03d} {Parameter('up'):>4}" == "7.2 007   up"
    assert f"{level}" == str(level)


class Find:
    level = Parameter(30.0, unit="mV", low=0)
    edge = Parameter("rising", choices=("rising", "falling"))


class FindMore(Find):
    width = Parameter(3)


def test_attributes_of_a_class_belong_to_each_instance():
    one, other = FindMore(), FindMore()
    one.level = 40
    one.edge = "falling"
    assert (one.level, one.edge, other.level, other.edge) == (40.0, "falling", 30.0, "rising")
    with pytest.raises(LayoutError):
        one.level = -1
    assert one.level == 40.0
    assert {name: p.value for name, p in parameters_of(one).items()} == {"level": 40.0, "edge": "falling", "width": 3}


def test_parameters_of_functions_are_found_in_globals_and_closures():
    width = Parameter(3)

    def find(event):
        return event > LEVEL and event > width

    def later():
        return unbound

    assert parameters_of(find) == {"LEVEL": LEVEL, "width": width}
    assert parameters_of(later) == {}
    unbound = Parameter(1)
    assert parameters_of(later) == {"unbound": unbound}
    assert parameters_of(len) == {}


def test_a_running_pipeline_takes_changes_over():
    level, asked = Parameter(30.0, low=0), []
    level.on_change = asked.append
    level.set(40)
    with pytest.raises(LayoutError):
        level.set(-1)
    assert (level.value, asked) == (30.0, [40.0])
    level.apply(40)
    assert level.value == 40.0
