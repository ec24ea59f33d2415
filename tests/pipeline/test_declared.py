"""Rings as they are declared."""

import pytest

from labdaq.errors import LayoutError
from labdaq.pipeline import Pipeline


@pytest.mark.parametrize("capacity", [0, -1, 2.5])
def test_a_ring_that_could_hold_nothing_is_refused_when_it_is_declared(capacity):
    daq = Pipeline("none", store=None)
    with pytest.raises(LayoutError, match=r"capacity=.*'raw'.*at least 1"):
        daq.ring("raw", "f4", capacity=capacity)
    assert daq.rings == {}
