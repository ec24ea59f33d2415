"""The envelope hides nothing: a pulse of one sample is in it wherever it is."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labdaq.errors import LayoutError
from labdaq.widgets.envelope import envelope, envelope_times


@given(st.integers(2, 5000), st.integers(2, 1000), st.data())
def test_a_pulse_of_one_sample_is_never_invisible(samples, points, data):
    at, height = data.draw(st.integers(0, samples - 1)), data.draw(st.sampled_from([1.0, -1.0]))
    waveform = np.zeros((2, samples))
    waveform[1, at] = height
    drawn = envelope(waveform, points)
    assert not drawn[0].any()
    assert (drawn[1] == height).sum() == 1
    assert drawn.shape[1] == len(envelope_times(samples, points)) <= max(points, 2)


@given(st.integers(2, 3000), st.integers(2, 500))
def test_it_is_where_it_was(samples, points):
    ramp = np.arange(samples, dtype=float)[None]
    apart = envelope(ramp, points)[0] - envelope_times(samples, points)
    assert (np.abs(apart) <= samples / (points // 2) + 1).all()


def test_extremes_are_kept():
    noise = np.random.default_rng(1).normal(size=(4, 4250)).astype(np.float32)
    drawn = envelope(noise, 1000)
    assert drawn.shape == (4, 1000)
    assert (drawn.max(axis=1) == noise.max(axis=1)).all()
    assert (drawn.min(axis=1) == noise.min(axis=1)).all()


def test_short_waveforms_are_left_alone():
    assert envelope(np.arange(8, dtype=np.int16)[None], 10).tolist() == [list(range(8))]


def test_samples_that_are_no_numbers_are_passed_over_and_gaps_remain():
    waveform = np.zeros((1, 400))
    waveform[0, 0:100], waveform[0, 150] = np.nan, np.nan
    drawn = envelope(waveform, 8)[0]
    assert np.isnan(drawn).tolist() == [True, True, False, False, False, False, False, False]


def test_an_envelope_has_two_points():
    with pytest.raises(LayoutError, match="2 or more"):
        envelope(np.zeros((1, 10)), 1)
