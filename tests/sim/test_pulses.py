"""Pulses: their shape, and where they land."""

import numpy as np
import pytest

from labdaq.sim.pulses import add_pulses, pulse_shape


def test_shape_rises_and_falls_once():
    shape = pulse_shape(np.linspace(0, 600, 5000))
    turns = np.diff(np.sign(np.diff(shape).round(12)))
    assert shape[0] == 0
    assert shape.max() == pytest.approx(1)
    assert shape[-1] < 1e-3
    assert (turns <= 0).all()


def test_a_shifted_pulse_is_the_same_pulse():
    rows = np.zeros((2, 400))
    add_pulses(rows, np.array([50.0, 80.0]), np.array([-1.0, -2.0]), 4.0)
    np.testing.assert_allclose(2 * rows[0, 50:300], rows[1, 80:330], atol=1e-12)
    assert (rows <= 0).all()


def test_begin_between_two_samples():
    rows = np.zeros((1, 100))
    add_pulses(rows, np.array([10.25]), np.array([1.0]), 4.0)
    assert rows[0, 10] == 0
    assert rows[0, 11] == pytest.approx(0.75 * 4 / 20)


@pytest.mark.parametrize("begin", [np.nan, 100.0, 1e9])
def test_no_pulse(begin):
    rows = np.zeros((1, 100))
    add_pulses(rows, np.array([begin]), np.array([1.0]), 4.0)
    assert not rows.any()


def test_pulses_over_the_borders_are_cut():
    rows = np.zeros((2, 100))
    add_pulses(rows, np.array([-5.0, 98.0]), np.array([1.0, 1.0]), 4.0)
    assert rows[0, 0] == pytest.approx(1)
    assert np.flatnonzero(rows[1]).tolist() == [99]
