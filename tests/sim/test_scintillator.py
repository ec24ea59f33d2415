"""Gamma spectroscopy: photopeaks, edges and pile-up where physics puts them."""

import numpy as np
import pytest
from scipy import stats

from labdaq.errors import LayoutError, NotFoundError
from labdaq.sim import GAMMA_LINES, GammaSpectrum, Scintillator, shaped_pulse
from labdaq.sim.gamma_spectrum import compton_edge, klein_nishina


class TestPulse:
    @pytest.mark.parametrize("order", [1, 2, 4, 7])
    def test_peaks_after_order_times_shaping_time(self, order):
        time = np.linspace(-1, 40, 41_001)
        pulse = shaped_pulse(time, 2.0, order)
        assert time[np.argmax(pulse)] == pytest.approx(2.0 * order, abs=1e-3)
        assert pulse.max() == pytest.approx(1.0, abs=1e-6)
        assert not pulse[time < 0].any()

    def test_is_the_product_of_power_and_exponential(self):
        time = np.linspace(0.1, 20, 50)
        ratio = shaped_pulse(time, 1.5, 3) / ((time / 1.5) ** 3 * np.exp(-time / 1.5))
        assert ratio == pytest.approx(np.full(50, ratio[0]))

    def test_needs_a_time(self):
        with pytest.raises(LayoutError, match="shaping_time=0"):
            shaped_pulse([1.0], 0)


class TestSpectrum:
    @pytest.mark.parametrize(("energy", "edge"), [(661.657, 477.34), (1173.228, 963.4), (511.0, 340.67)])
    def test_compton_edges(self, energy, edge):
        assert compton_edge(energy) == pytest.approx(edge, abs=0.1)
        assert (klein_nishina([edge - 1, edge + 1], energy) > 0).tolist() == [True, False]

    @pytest.mark.parametrize("energy", [50.0, 661.657, 2614.5])
    def test_compton_electrons_add_up_to_the_cross_section(self, energy):
        """The mean fraction of the energy that they get, against the integral over angles."""
        electron = np.linspace(0, compton_edge(energy), 20_001)
        density = klein_nishina(electron, energy)
        cosine = np.linspace(-1, 1, 20_001)
        left = 1 / (1 + energy / 510.99895 * (1 - cosine))
        by_angle = left**2 * (left + 1 / left - 1 + cosine**2)
        expected = ((1 - left) * by_angle).sum() / by_angle.sum()
        assert (electron * density).sum() / density.sum() / energy == pytest.approx(expected, rel=2e-3)

    @pytest.mark.parametrize("source", GAMMA_LINES)
    def test_photopeaks(self, source):
        seen, left = GammaSpectrum(source, background=0.0).draw(np.random.default_rng(1), 50_000)
        lines = GAMMA_LINES[source]
        counts = np.array([np.count_nonzero(left == energy) for energy, _ in lines])
        expected = np.array([intensity * 0.3 * 661.657 / energy for energy, intensity in lines])
        assert counts / counts.sum() == pytest.approx(expected / expected.sum(), abs=0.02)
        for energy, _ in lines:
            peak = seen[left == energy]
            assert peak.mean() == pytest.approx(energy, rel=0.003)
            assert 2.3548 * peak.std() == pytest.approx(0.07 * np.sqrt(661.657 * energy), rel=0.05)

    def test_compton_continuum(self):
        _, left = GammaSpectrum("Cs-137", background=0.0, least_kev=0.0).draw(np.random.default_rng(1), 20_000)
        electrons = left[left < 600]
        energy = np.linspace(0, compton_edge(661.657), 2000)
        integral = np.cumsum(klein_nishina(energy, 661.657))
        assert stats.kstest(electrons, lambda x: np.interp(x, energy, integral / integral[-1])).pvalue > 1e-3

    def test_background(self):
        spectrum = GammaSpectrum("Cs-137", background=1.0, background_kev=200.0, least_kev=0.0)
        _, left = spectrum.draw(np.random.default_rng(1), 20_000)
        assert stats.kstest(left, "expon", args=(0, 200)).pvalue > 1e-3

    def test_nothing_is_seen_below_the_threshold(self):
        assert GammaSpectrum(least_kev=200.0).draw(np.random.default_rng(1), 1000)[0].min() >= 200

    def test_unknown_source(self):
        with pytest.raises(NotFoundError, match="no gamma source 'Cs137'; there are Cs-137, Co-60, Na-22"):
            GammaSpectrum("Cs137")

    @pytest.mark.parametrize("setting", [{"resolution": -1.0}, {"background": 1.1}, {"background_kev": 0.0}])
    def test_settings_outside_their_range(self, setting):
        with pytest.raises(LayoutError, match=next(iter(setting))):
            GammaSpectrum(**setting)


class TestWaveforms:
    def test_height_and_peaking_time(self):
        events = Scintillator("Co-60", seed=1, noise_mv=0.0, rate_hz=1.0, pretrigger=0.1).batch(100)
        assert events.data.max(axis=1) == pytest.approx(events.truth["height_mv"], rel=2e-3)
        peak = np.argmax(events.data, axis=1)
        assert abs(peak - (50 + 4 * 200 / 16)).max() <= 1  # a tenth of 500 samples, and 4 tau
        assert (np.abs(events.data[:, :49]) == 0).all()

    def test_noise(self):
        quiet = Scintillator(seed=1, noise_mv=3.0, rate_hz=1.0).batch(100).data[:, :90]
        assert quiet.std() == pytest.approx(3.0, rel=0.03)

    def test_pile_up_as_the_rate_wants_it(self):
        events = Scintillator(seed=1, rate_hz=2e5).batch(2000)  # 1.6 pulses in 8 us
        assert stats.chisquare(*_poisson(events.truth["pile_up"], 1.6)).pvalue > 1e-3
        gaps_s = np.diff(events.truth["timestamp_ns"]) * 1e-9
        assert gaps_s.min() >= 8e-6
        assert stats.kstest(gaps_s, "expon", args=(8e-6, 1 / 2e5)).pvalue > 1e-3
        is_alone = events.truth["pile_up"] == 0
        assert events.data[~is_alone].sum(axis=1).mean() > 1.5 * events.data[is_alone].sum(axis=1).mean()

    def test_header_names_the_source(self):
        assert Scintillator(GammaSpectrum("Na-22")).header["gamma_source"] == "Na-22"

    @pytest.mark.parametrize(
        "setting", [{"samples": 0}, {"order": 0}, {"noise_mv": -1.0}, {"pretrigger": 1.0}, {"rate_hz": 0.0}]
    )
    def test_settings_outside_their_range(self, setting):
        with pytest.raises(LayoutError, match=next(iter(setting))):
            Scintillator(**setting)


def _poisson(counts, mean):
    """Observed and expected frequencies of 0, 1, 2, 3 and more."""
    observed = np.bincount(np.minimum(counts, 4), minlength=5)
    chances = stats.poisson.pmf(np.arange(4), mean)
    return observed, len(counts) * np.append(chances, 1 - chances.sum())
