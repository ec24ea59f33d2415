"""The simulated telescope: noise, tone and pulsar are where they were put."""

import numpy as np
import pytest

from labdaq.errors import LayoutError
from labdaq.kernels import channel_frequencies, channelise, dedisperse, fold, power
from labdaq.sim import RadioTelescope


def voltages(events=400, **settings):
    telescope = RadioTelescope(seed=3, **settings)
    return telescope.batch(events), telescope


def test_noise_has_a_power_of_1_in_every_channel():
    """6400 spectra: 1.3 %, at most 5 % of 64 channels."""
    batch, _ = voltages(800, tone_power=0.0, pulsar_power=0.0)
    spectrum = power(channelise(batch.data.reshape(-1), 64)).mean(axis=0)
    assert abs(spectrum.mean() - 1) < 0.01
    assert np.abs(spectrum - 1).max() < 0.06


def test_the_tone_is_where_it_was_put():
    batch, telescope = voltages(tone_hz=37.98e6, tone_power=0.1, pulsar_power=0.0)
    spectrum = power(channelise(batch.data.reshape(-1), 1024)).mean(axis=0)
    frequencies = 38e6 + channel_frequencies(1024, is_complex=True, sample_rate_hz=telescope.sample_rate_hz)
    assert abs(frequencies[spectrum.argmax()] - 37.98e6) < 100e3 / 1024
    assert abs(spectrum.sum() - 1024 - 0.1 * 1024) < 0.02 * 1024


def test_the_pulsar_has_its_period_and_its_dispersion():
    batch, _ = voltages(1600, tone_power=0.0, pulsar_power=0.5)
    powers = power(channelise(batch.data.reshape(-1), 64))
    frequencies = 38 + channel_frequencies(64, is_complex=True, sample_rate_hz=0.1)
    heights = {}
    for dm in (0, 15, 30):
        series = dedisperse(powers, frequencies, dm, 640e-6)
        heights[dm] = np.ptp(fold(series, 640e-6, period_s=0.4, bins=20).mean)
    assert heights[15] > 0.35
    assert max(heights[0], heights[30]) < 0.15
    assert np.argmax(fold(dedisperse(powers, frequencies, 15, 640e-6), 640e-6, period_s=0.4, bins=20).mean) == 0
    assert np.allclose(batch.truth["phase"][:3], np.arange(3) * 5.12e-3 / 0.4)


def test_same_seed_same_bytes_however_they_are_read():
    whole, telescope = voltages(100)
    telescope.rewind()
    parts = [next(telescope)[0] for _ in range(100)]
    assert np.array_equal(np.array(parts), whole.data)
    assert not np.array_equal(RadioTelescope(seed=4).batch(1).data, whole.data[:1])
    assert whole.truth["timestamp_ns"].tolist() == [5_120_000 * i for i in range(100)]


@pytest.mark.parametrize(
    "wrong", [{"samples": 100}, {"tone_hz": 30e6}, {"duty": 2}, {"dm": -1.0}, {"period_s": 0}, {"tone_power": -1.0}]
)
def test_settings_outside_their_range(wrong):
    with pytest.raises(LayoutError):
        RadioTelescope(**wrong)
