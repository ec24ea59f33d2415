"""Height, time and shape of pulses: analytic pulses, and noise against what theory expects of it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import signal

from labdaq.errors import DataError, LayoutError
from labdaq.kernels import (
    analyse_pulses,
    constant_fraction_time,
    find_constant_fraction,
    find_peaks,
    match_template,
    normalised_pulse,
)

T = np.arange(400.0)


def exponential(height, tau, begin=100):
    return np.where(begin > T, 0, height * np.exp(-(T - begin) / tau))


# Heights


@given(st.floats(0.1, 100), st.floats(2, 30), st.floats(-50, 50), st.sampled_from([1, -1]))
def test_height_and_integral_of_an_exponential(height, tau, baseline, polarity):
    waveform = polarity * exponential(height, tau) + baseline
    (found,) = analyse_pulses([waveform], (90, 400), (0, 90), polarity=polarity)
    geometric_series = height * -np.expm1(-300 / tau) / -np.expm1(-1 / tau)
    assert found["height"] == pytest.approx(height, rel=1e-9)
    assert found["integral"] == pytest.approx(geometric_series, rel=1e-9)
    assert found["position"] == 100
    assert found["baseline"] == pytest.approx(baseline, abs=1e-12)
    assert found["noise"] == pytest.approx(0, abs=1e-9)


def test_noise_of_the_integral_is_that_of_theory():
    sigma, quiet, length = 0.8, 50, 100
    waveforms = np.random.default_rng(1).normal(3, sigma, (4000, quiet + length))
    found = analyse_pulses(waveforms, (quiet, quiet + length), (0, quiet))
    assert found["noise"].mean() == pytest.approx(sigma, rel=0.01)
    assert found["baseline"].std() == pytest.approx(sigma / np.sqrt(quiet), rel=0.05)
    assert found["integral"].std() == pytest.approx(sigma * np.sqrt(length + length**2 / quiet), rel=0.05)
    assert abs(found["integral"].mean()) < 4 * found["integral"].std() / np.sqrt(len(found))


def test_heights_of_integers():
    (found,) = analyse_pulses(np.array([[200, 201, 250, 255]], np.uint8), (2, 4), (0, 2))
    assert (found["height"], found["position"]) == (54.5, 3)


@pytest.mark.parametrize(
    ("waveforms", "pulse", "quiet"),
    [(np.zeros(5), (0, 1), (1, 2)), ([[1, 2, 3]], (2, 4), (0, 1)), ([[1, 2, 3]], (1, 3), (1, 1))],
    ids=["one row", "beyond the end", "no baseline"],
)
def test_windows_that_are_not_there(waveforms, pulse, quiet):
    with pytest.raises(LayoutError):
        analyse_pulses(waveforms, pulse, quiet)


# Times


def trapezium(begin, rise, height):
    return height * np.clip((T - begin) / rise, 0, 1)


@given(st.floats(20, 50), st.floats(3, 40), st.floats(0.01, 1000), st.floats(0.1, 0.9), st.sampled_from([1, -1]))
def test_time_on_a_straight_flank_is_exact(begin, rise, height, fraction, polarity):
    """Exact, unless the flank bends between the two samples: the fractions leave one sample on either side."""
    top = int(begin + rise) + 2
    waveform = polarity * trapezium(begin, rise, height) + 7
    time = constant_fraction_time(waveform, top, baseline=7, fraction=fraction)
    bend = 1 / rise > min(fraction, 1 - fraction)
    assert time == pytest.approx(begin + fraction * rise, abs=1.0 if bend else 1e-6)


@given(st.floats(0.1, 100), st.floats(0.1, 0.9))
def test_time_does_not_walk_with_the_height(factor, fraction):
    waveform = (T / 40) ** 2 * np.exp(-T / 20)
    time = constant_fraction_time(waveform, 40, fraction=fraction)
    assert constant_fraction_time(factor * waveform, 40, fraction=fraction) == pytest.approx(time, rel=1e-9)


@pytest.mark.parametrize(("begin", "fraction"), [(50.3, 0.2), (50.3, 0.5), (50.5, 0.8)])
def test_resolution_is_that_of_theory(begin, fraction):
    rise, height, sigma = 10, 1.0, 0.004
    clean = trapezium(begin, rise, height)
    noise = np.random.default_rng(2).normal(0, sigma, (4000, len(T)))
    times = np.array([find_constant_fraction(row, 70, 0.0, fraction) for row in clean + noise])
    past = (begin + fraction * rise) % 1
    expected = sigma / (height / rise) * np.sqrt((1 - past) ** 2 + past**2 + fraction**2)
    assert times.std() == pytest.approx(expected, rel=0.06)
    assert times.mean() == pytest.approx(begin + fraction * rise, abs=0.05 * expected + 4 * expected / np.sqrt(4000))


def test_flank_that_is_not_there():
    assert np.isnan(constant_fraction_time([8.0, 8.0, 9.0, 2.0], 2))
    assert np.isnan(constant_fraction_time(np.zeros(5), 2))


@pytest.mark.parametrize("arguments", [{"peak": 5}, {"peak": -1}, {"peak": 2, "fraction": 0}])
def test_times_that_cannot_be_found(arguments):
    with pytest.raises(LayoutError):
        constant_fraction_time([0.0, 1.0, 2.0, 1.0, 0.0], **arguments)


# Shapes


@given(st.floats(20, 1e4), st.floats(-50, 50))
def test_shape_does_not_depend_on_height_and_baseline(height, baseline):
    pulses = []
    for h, b in ((100.0, 0.0), (height, baseline)):
        waveform = h * np.exp(-0.5 * ((T - 150.25) / 6) ** 2) + b
        peak = find_peaks(waveform, prominence=h / 2)[0]
        pulses.append(normalised_pulse(waveform, peak, level=0.1 * h, baseline=b))
    assert pulses[0].begin == pulses[1].begin
    np.testing.assert_allclose(pulses[0].shape, pulses[1].shape, rtol=1e-6)
    assert pulses[1].shape.sum() == pytest.approx(1)
    # Of a normal curve, 3.2 % lie beyond sqrt(2 ln 10) = 2.146 standard deviations.
    assert pulses[1].integral == pytest.approx(0.968 * height * 6 * np.sqrt(2 * np.pi), rel=0.01)


def test_normalised_as_by_mimocorb():
    """Its definition in words of SciPy: 10 above the offset, as a relative height of the prominence."""
    rng = np.random.default_rng(3)
    waveform = 200 * np.exp(-0.5 * ((T - 150.25) / 9) ** 2) + rng.normal(0, 0.5, len(T))
    found = find_peaks(waveform, prominence=100)
    (top,), (prominence,) = found["index"], found["prominence"]
    _, _, left, right = signal.peak_widths(waveform, [top], rel_height=(waveform[top] - 10) / prominence)
    cut = waveform[int(np.floor(left[0])) : int(np.ceil(right[0]))]
    pulse = normalised_pulse(waveform, found[0], level=10)
    assert pulse.begin == np.floor(left[0])
    np.testing.assert_allclose(pulse.shape, cut / cut.sum())
    assert pulse.integral == pytest.approx(cut.sum())


def test_pulses_without_a_shape():
    waveform = np.array([0.0, 1.0, 4.0, 1.0, 0.0])
    with pytest.raises(LayoutError, match="ask find_peaks for the prominence"):
        normalised_pulse(waveform, find_peaks(waveform)[0], level=1)
    peak = find_peaks(waveform, prominence=1)[0]
    with pytest.raises(DataError, match="nowhere more than 5"):
        normalised_pulse(waveform, peak, level=5)
    with pytest.raises(DataError, match="baseline"):
        normalised_pulse(waveform, peak, level=-9, baseline=4)


ROWS = arrays("f8", st.integers(1, 30), elements=st.integers(-20, 20).map(float))


@given(ROWS, ROWS)
def test_best_position_is_that_of_scipy(pulse, template):
    position, coefficient = match_template(pulse, template)
    # SciPy centres on the longer of the two; padding makes that the pulse.
    padded = np.pad(pulse, len(template))
    correlation = signal.correlate(padded, template, "same", method="direct")[
        len(template) : len(template) + len(pulse)
    ]
    assert position == np.argmax(correlation)
    norm = np.sqrt((pulse**2).sum() * (template**2).sum())
    np.testing.assert_allclose(coefficient, correlation.max() / norm if norm else np.nan)


@given(st.integers(20, 180), st.floats(0.1, 50))
def test_a_pulse_fits_itself_wherever_it_is_and_however_high(place, height):
    template = signal.windows.gaussian(31, 5)
    waveform = np.zeros(200)
    waveform[place - 15 : place + 16] = height * template
    position, coefficient = match_template(waveform, template)
    assert position == place
    assert coefficient == pytest.approx(1)


@pytest.mark.parametrize("pulse", [[], [[1.0]], ["a"]])
def test_only_rows_fit(pulse):
    with pytest.raises(LayoutError, match="rows of real samples"):
        match_template(pulse, [1.0])
