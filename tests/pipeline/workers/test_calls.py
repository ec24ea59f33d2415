"""What filters may return, and how what they may not is told."""

from types import SimpleNamespace

import numpy as np
import pytest

from labdaq.errors import LayoutError
from labdaq.pipeline.workers.calls import INPUT, name_of, records_of, required_arguments

PULSES = SimpleNamespace(name="pulses", dtype=np.dtype("f4"), shape=(3,))
HEIGHTS = SimpleNamespace(name="heights", dtype=np.dtype([("h", "f8")]), shape=())
PULSE, HEIGHT = np.zeros(3, "f4"), np.zeros((), HEIGHTS.dtype)


def counts(result, *rings):
    return [len(records) for records in records_of(result, rings, "filter 'find'")]


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        (None, [0]),
        (False, [0]),
        (np.False_, [0]),
        (True, [1]),
        (np.True_, [1]),
        (PULSE, [1]),
        (np.zeros((5, 3), "f4"), [5]),
        (np.zeros((0, 3), "f4"), [0]),
        ([PULSE, PULSE], [2]),
        ([], [0]),
        ((PULSE,), [1]),
        (([PULSE, np.zeros((2, 3), "f4")],), [3]),
    ],
)
def test_one_output(result, expected):
    assert counts(result, PULSES) == expected


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        (None, [0, 0]),
        (True, [1, 1]),
        ((PULSE, HEIGHT), [1, 1]),
        ((PULSE, HEIGHT[()]), [1, 1]),
        ((None, np.zeros(4, HEIGHTS.dtype)), [0, 4]),
        ([True, [HEIGHT, HEIGHT]], [1, 2]),
        ((np.True_, np.False_), [1, 0]),
    ],
)
def test_two_outputs(result, expected):
    assert counts(result, PULSES, HEIGHTS) == expected


def test_true_stands_for_the_input():
    assert records_of((True, None), [PULSES, HEIGHTS], "filter 'find'") == [[INPUT], []]


@pytest.mark.parametrize("wrong", [1, 0, 2.5, np.float32(1), "yes", PULSE.astype("f8"), np.zeros(4, "f4"), object()])
def test_what_does_not_fit_is_told_with_worker_ring_expected_and_given(wrong):
    with pytest.raises(LayoutError, match=r"filter 'find' must give ring 'pulses' float32 of shape \(3,\): it gave"):
        counts(wrong, PULSES)


def test_a_number_is_told_what_to_say_instead():
    with pytest.raises(LayoutError, match="say True to pass the event on"):
        counts(1, PULSES)


@pytest.mark.parametrize("wrong", [PULSE, (PULSE,), (PULSE, HEIGHT, HEIGHT), 3])
def test_another_number_of_results_is_told_with_the_rings(wrong):
    with pytest.raises(LayoutError, match=r"filter 'find' has 2 outputs \(pulses, heights\).* and gave"):
        counts(wrong, PULSES, HEIGHTS)


def test_which_arguments_a_function_needs_and_what_it_is_called():
    class Find:
        def __call__(self, data, out):
            return 0

    assert [required_arguments(one) for one in (Find(), lambda e, gain=1: 0, print, len)] == [2, 1, 0, 1]
    assert [name_of(one) for one in (Find(), lambda e: 0, test_one_output)] == ["Find", "lambda", "test_one_output"]
