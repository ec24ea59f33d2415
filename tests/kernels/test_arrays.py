"""Beams and visibilities of arrays of antennas."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labdaq.errors import LayoutError
from labdaq.kernels import baseline_pairs, correlate, form_beams, power, steering_weights
from labdaq.kernels.beams import form_beams_reference
from labdaq.kernels.correlate import correlate_reference

RELATIVE_ERROR = {"c8": 1e-6, "c16": 1e-14, "f8": 1e-14, "i1": 1e-6}


def numbers(shape, dtype, seed):
    rng = np.random.default_rng(seed)
    return (20 * (rng.normal(size=shape) + (1j * rng.normal(size=shape) if "c" in dtype else 0))).astype(dtype)


@given(st.sampled_from(list(RELATIVE_ERROR)), st.sampled_from([(), (5,), (0,), (2, 3)]), st.integers(1, 4))
def test_beams_are_their_definition(dtype, outer, beams):
    voltages, weights = numbers((*outer, 3, 4), dtype, 1), numbers((beams, 3, 4), "c16", 2)
    found, expected = form_beams(voltages, weights), form_beams_reference(voltages, weights)
    assert found.shape == (*outer, 3, beams)
    assert np.abs(found - expected).max(initial=0) <= RELATIVE_ERROR[dtype] * np.abs(expected).max(initial=0)


@given(st.sampled_from(list(RELATIVE_ERROR)), st.integers(1, 20), st.sampled_from([None, 1, 6]))
def test_visibilities_are_their_definition(dtype, frames, count):
    voltages = numbers((frames, 3, 4), dtype, frames)
    found, expected = correlate(voltages, count), correlate_reference(voltages, count)
    assert found.shape == (frames // (count or frames), 3, 4, 4)
    assert np.abs(found - expected).max(initial=0) <= 2 * RELATIVE_ERROR[dtype] * np.abs(expected).max(initial=0)
    assert np.allclose(found, found.conj().swapaxes(-1, -2))


def plane_wave(delays_s, frequencies_hz, frames=64):
    """Voltages (frame, channel, input) of a source whose wave arrives late by the delays, without noise."""
    source = numbers((frames, len(frequencies_hz), 1), "c16", 3)
    return source * np.exp(-2j * np.pi * np.outer(frequencies_hz, delays_s)), source[..., 0]


def test_a_beam_towards_a_source_hears_it_as_one_antenna_would():
    frequencies, delays = np.array([50e6, 60e6]), np.array([0, 3e-9, 7e-9, 20e-9])
    voltages, source = plane_wave(delays, frequencies)
    towards, away = np.moveaxis(form_beams(voltages, steering_weights([delays, -delays], frequencies)), -1, 0)
    assert np.allclose(towards, source)
    assert power(away).mean() < 0.5 * power(source).mean()


def test_noise_of_a_beam_falls_with_the_number_of_antennas():
    """Power of 8 antennas with noise of their own: an eighth; of 6400 samples it is known to 1.3 %."""
    noise = numbers((6400, 1, 8), "c16", 4)
    beam = form_beams(noise, steering_weights(np.zeros((1, 8)), [1.0]))
    assert abs(power(beam).mean() / power(noise).mean() * 8 - 1) < 0.06


def test_the_phase_of_a_visibility_is_the_delay():
    frequencies, delays = np.array([40e6, 70e6]), np.array([0, 2e-9, 5e-9])
    visibilities = correlate(plane_wave(delays, frequencies)[0])[0]
    for i, j in baseline_pairs(3):
        expected = 2 * np.pi * frequencies * (delays[j] - delays[i])
        assert np.allclose(np.exp(1j * np.angle(visibilities[:, i, j])), np.exp(1j * expected))


def test_pairs_are_in_the_order_of_the_packets():
    assert baseline_pairs(5) == list(zip(*(a.tolist() for a in np.triu_indices(5)), strict=True))


@pytest.mark.parametrize(
    ("call", "arguments"),
    [
        (form_beams, (np.ones(3), np.ones((1, 3, 2)))),
        (form_beams, (np.ones((4, 3, 2)), np.ones((1, 2, 3)))),
        (correlate, (np.ones((4, 3)),)),
        (correlate, (np.ones((4, 3, 2)), 0)),
        (correlate, (np.ones((0, 3, 2)),)),
        (steering_weights, ([0.0, 1.0], [1.0])),
    ],
)
def test_what_does_not_fit_is_refused(call, arguments):
    with pytest.raises(LayoutError):
        call(*arguments)
