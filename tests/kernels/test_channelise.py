"""Voltages into channels: the formula, what theory says of noise and tones, and gulps."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labdaq.errors import LayoutError
from labdaq.kernels import Channeliser, channel_frequencies, channelise, pfb_window
from labdaq.kernels.channelise import channelise_reference

RELATIVE_ERROR = {"f4": 2e-6, "c8": 2e-6, "f8": 1e-13, "c16": 1e-13}
WINDOWS = {
    "none": lambda _: None,
    "hann": lambda length: np.hanning(length) + 0.1,
    "bank": lambda length: pfb_window(length, 3),
}


def noise(shape, dtype, seed):
    rng = np.random.default_rng(seed)
    values = rng.normal(size=shape) + (1j * rng.normal(size=shape) if "c" in dtype else 0)
    return values.astype(dtype)


@given(
    st.sampled_from(list(RELATIVE_ERROR)),
    st.sampled_from(list(WINDOWS)),
    st.integers(2, 17),
    st.integers(0, 100),
    st.sampled_from([(), (2,), (0,)]),
)
def test_it_is_its_definition(dtype, window, length, count, inner):
    samples, weights = noise((count, *inner), dtype, count), WINDOWS[window](length)
    found, expected = channelise(samples, length, weights), channelise_reference(samples, length, weights)
    assert found.shape == expected.shape
    assert found.dtype == (np.complex64 if dtype in ("f4", "c8") else np.complex128)
    scale = np.abs(expected).max(initial=0) or 1
    assert np.abs(found - expected).max(initial=0) <= RELATIVE_ERROR[dtype] * scale


def test_integers_are_numbers_too():
    samples = np.arange(-32, 32, dtype=np.int8)
    assert np.allclose(channelise(samples, 8), channelise(samples.astype(float), 8), atol=1e-4)


@pytest.mark.parametrize("dtype", ["f8", "c16"])
def test_white_noise_keeps_its_power_in_every_channel(dtype):
    """4000 spectra: the mean power of a channel scatters by 1.6 % (2.2 % of the real channels at both ends)."""
    samples = noise(32 * 4000, dtype, 1)
    for window in (None, pfb_window(32), np.hanning(32)):
        power = (np.abs(channelise(samples, 32, window)) ** 2).mean(axis=0)
        assert np.abs(power / np.mean(np.abs(samples) ** 2) - 1).max() < 0.1


def test_a_plain_transform_keeps_the_energy():
    samples = noise(640, "c16", 3)
    assert np.isclose((np.abs(channelise(samples, 64)) ** 2).sum(), (np.abs(samples) ** 2).sum())


def test_a_tone_is_in_its_channel():
    frequencies = channel_frequencies(16, is_complex=True, sample_rate_hz=16e3)
    assert np.all(np.diff(frequencies) == 1e3)
    for channel, frequency in enumerate(frequencies):
        tone = np.exp(2j * np.pi * frequency / 16e3 * np.arange(256))
        power = (np.abs(channelise(tone, 16, pfb_window(16))) ** 2).sum(axis=0)
        assert power.argmax() == channel


def test_a_filter_bank_leaks_less_than_a_transform():
    """A tone 2.5 channels away: sinc² says -18 dB of a transform; the bank has it below -50 dB."""
    tone = np.exp(2j * np.pi * 2.5 / 64 * np.arange(64 * 32))
    leaks = {}
    for name, window in (("transform", None), ("bank", pfb_window(64, 8))):
        power = (np.abs(channelise(tone, 64, window)) ** 2).mean(axis=0)
        leaks[name] = 10 * np.log10(power[32] / power.max())
    assert abs(leaks["transform"] - 20 * np.log10(0.5 / 2.5)) < 0.5
    assert leaks["bank"] < -50


@given(st.lists(st.integers(0, 40), min_size=1, max_size=8), st.sampled_from(list(WINDOWS)))
def test_gulps_give_the_spectra_of_all_samples_in_a_row(cuts, window):
    samples = noise((sum(cuts), 2), "c16", len(cuts))
    bank, weights = Channeliser(8, WINDOWS[window](8)), WINDOWS[window](8)
    parts = [bank(part) for part in np.split(samples, np.cumsum(cuts)[:-1])]
    assert np.allclose(np.concatenate(parts), channelise(samples, 8, weights))


def test_after_a_reset_nothing_is_left_of_before():
    bank = Channeliser(4)
    bank(np.ones(3))
    with pytest.raises(LayoutError, match="reset"):
        bank(np.ones((3, 2)))
    bank.reset()
    assert bank(np.ones((4, 2))).shape == (1, 3, 2)


@pytest.mark.parametrize(
    ("samples", "length", "window"),
    [(["a"], 8, None), (1.0, 8, None), ([1.0], 1, None), ([1.0], 8, [1.0]), ([1.0], 2, []), ([1.0], 2, [1, np.nan])],
)
def test_what_does_not_fit_is_refused(samples, length, window):
    with pytest.raises(LayoutError):
        channelise(np.array(samples), length, window)
    with pytest.raises(LayoutError):
        pfb_window(0)
