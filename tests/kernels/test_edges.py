"""Edges: worked examples, the compiled version against the definition, timing against the truth."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from labdaq.errors import LayoutError
from labdaq.kernels.edges import Discriminator, find_edges, find_edges_reference

CUTS = {
    "threshold": st.floats(0.5, 30),
    "polarity": st.sampled_from([1, -1]),
    "baseline": st.floats(-20, 20),
    "release": st.floats(0, 1),
    "width": st.integers(0, 5),
    "dead_time": st.integers(0, 20),
}


@given(
    waveform=arrays(
        st.sampled_from(["i1", "u1", "i2", "f4", "f8"]),
        st.integers(0, 60),
        elements=st.integers(0, 60),
    ),
    cut=st.builds(Discriminator, **CUTS),
)
def test_compiled_version_equals_the_definition(waveform, cut):
    np.testing.assert_array_equal(find_edges(waveform, **cut._asdict()), find_edges_reference(waveform, cut))


@given(st.lists(st.integers(8, 40), min_size=1, max_size=6), st.sampled_from([1, -1]), st.floats(-5, 5))
def test_every_pulse_of_a_train_is_found_where_it_is(gaps, polarity, baseline):
    starts = np.cumsum(gaps)
    waveform = np.zeros(starts[-1] + 10)
    for start in starts:
        waveform[start : start + 5] = [2, 8, 8, 4, 1]
    edges = find_edges(polarity * waveform + baseline, 5, polarity=polarity, baseline=baseline)
    np.testing.assert_allclose(edges, starts + 0.5, atol=1e-9)


@pytest.mark.parametrize("slope", [0.5, 1.0, 3.0])
def test_edge_of_a_straight_flank_is_exact(slope):
    ramp = slope * np.maximum(np.arange(50.0) - 10.3, 0)
    assert find_edges(ramp, 7.0) == pytest.approx([10.3 + 7.0 / slope])


def test_hysteresis_keeps_a_noisy_flank_one_pulse():
    noisy = [0, 10, 9, 11, 8, 10, 7, 0, 0]
    assert len(find_edges(noisy, 9.5, release=1.0)) == 3
    assert len(find_edges(noisy, 9.5, release=0.5)) == 1


def test_short_pulses_do_not_count():
    waveform = [0, 9, 0, 0, 9, 9, 9, 0, 0]
    assert find_edges(waveform, 5, width=3) == pytest.approx([3 + 5 / 9])


def test_dead_time_counts_from_the_last_pulse_that_counted():
    waveform = np.zeros(40)
    waveform[[5, 12, 19, 26]] = 10
    np.testing.assert_allclose(find_edges(waveform, 5, dead_time=14) + 0.5, [5, 19])


def test_limit():
    waveform = np.tile([0.0, 10.0], 20)
    assert len(find_edges(waveform, 5)) == 20
    assert len(find_edges(waveform, 5, limit=3)) == 3
    assert len(find_edges(waveform, 5, limit=0)) == 0


@pytest.mark.parametrize(
    ("waveform", "edges"),
    [([], []), ([0, 0], []), ([9, 0], [0.0]), ([0, 10], [0.5]), ([0, 10, 10], [0.5])],
    ids=["empty", "quiet", "begins in a pulse", "ends in a pulse", "never ends"],
)
def test_borders(waveform, edges):
    assert find_edges(waveform, 5).tolist() == edges


@pytest.mark.parametrize(
    "waveform", [np.zeros((2, 3)), 1.0, np.zeros(3, complex), ["a"]], ids=["2-D", "0-D", "complex", "text"]
)
def test_only_rows_of_real_samples(waveform):
    with pytest.raises(LayoutError, match="row of real samples"):
        find_edges(waveform, 1)


@pytest.mark.parametrize(
    "settings", [{"threshold": 0}, {"threshold": 1, "polarity": 2}, {"threshold": 1, "release": 1.5}]
)
def test_settings_outside_their_range(settings):
    with pytest.raises(LayoutError, match="polarity must be"):
        find_edges([0, 1, 0], **settings)
