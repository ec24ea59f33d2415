"""Double pulses: the filter against its definition, simulated truth and a published table."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numba import njit

from labdaq.files import read_recording
from labdaq.kernels.double_pulse import (
    DOUBLE_PULSE,
    DOUBLE_PULSE_UNITS,
    DoublePulseCut,
    double_pulse_filter,
    find_double_pulse,
    find_double_pulse_reference,
    measure_double_pulse,
)
from labdaq.sim import MuonDetector
from tests.recorded import recorded


def waveform_of(*starts, height=-0.1, length=20):
    waveform = np.zeros(4000, np.float32)
    for start in starts:
        waveform[start : start + length] = height
    return waveform


def decay_time(waveform, find=find_double_pulse):
    out = np.zeros(1, DOUBLE_PULSE)
    return float(out[0]["decay_time"]) if find(waveform, out) else None


@pytest.fixture(scope="module")
def batch():
    return MuonDetector(seed=3).batch(2000)


def test_delay_and_heights():
    out = np.zeros(2, DOUBLE_PULSE)
    waveform = waveform_of(200) + waveform_of(1000, height=-0.25)
    assert find_double_pulse(waveform, out) == 1
    assert out[0]["decay_time"] == pytest.approx(3.2, abs=0.004)
    assert (out[0]["first_height"], out[0]["last_height"]) == pytest.approx((0.1, 0.25))
    assert out[1] == np.zeros(1, DOUBLE_PULSE)[0]


def test_units_name_every_field():
    assert set(DOUBLE_PULSE_UNITS) == set(DOUBLE_PULSE.names)


@pytest.mark.parametrize("starts", [(), (200,)], ids=["no pulse", "one pulse"])
def test_fewer_than_two_pulses_are_dropped(starts):
    assert decay_time(waveform_of(*starts)) is None


def test_last_pulse_counts():
    assert decay_time(waveform_of(200, 500, 1200)) == pytest.approx(4.0)


def test_spike_and_after_pulse_do_not_count():
    spike = waveform_of(200) + waveform_of(1000, length=2)
    after_pulse = waveform_of(200) + waveform_of(225)
    assert decay_time(spike) is None
    assert decay_time(after_pulse) is None


def test_baseline_is_taken_off(batch):
    assert decay_time(waveform_of(200, 750) + np.float32(0.3)) == pytest.approx(2.2)


@given(st.integers(190, 300), st.integers(31, 3000), st.floats(0.04, 0.9))
def test_any_two_pulses_are_measured(start, delay, height):
    waveform = waveform_of(start, start + delay, height=-height)
    assert decay_time(waveform) == pytest.approx(delay * 4e-3, abs=1e-6)


def test_filter_equals_the_definition(batch):
    for waveform in batch.waveforms[:500]:
        assert decay_time(waveform) == find_double_pulse_reference(waveform)


def test_simulated_delays_are_found(batch):
    delays = np.array([decay_time(waveform) or np.nan for waveform in batch.waveforms])
    is_clear = (batch.delay_us > 0.3) & (batch.delay_us < 15.1)
    assert not np.isnan(delays[is_clear]).any()
    assert np.isnan(delays[np.isnan(batch.delay_us)]).all()
    # The flank takes 20 ns, and a low pulse reaches the threshold later than a high one.
    assert np.abs(delays - batch.delay_us)[is_clear].max() < 0.02


def test_read_only_and_other_dtypes():
    waveform = waveform_of(200, 750)
    waveform.setflags(write=False)
    codes = np.round(waveform / 0.004).astype(np.int8)
    assert decay_time(waveform) == pytest.approx(2.2)
    assert decay_time(codes, double_pulse_filter(threshold=10)) == pytest.approx(2.2)


def test_filters_with_other_settings():
    upside_down = double_pulse_filter(polarity=1, threshold=0.05, sample_interval_ns=8)
    assert decay_time(-waveform_of(200, 750), upside_down) == pytest.approx(4.4)
    assert decay_time(waveform_of(200, 750), upside_down) is None


def test_unknown_setting():
    with pytest.raises(TypeError, match="treshold"):
        double_pulse_filter(treshold=1.0)


def test_settings_can_change_inside_compiled_code():
    @njit
    def count(waveform, out, thresholds):
        found = 0
        for threshold in thresholds:
            cut = DoublePulseCut(threshold, -1, 0.8, 12.0, 120.0, 600.0, 4.0)
            found += measure_double_pulse(waveform, out, cut)
        return found

    waveform = waveform_of(200) + waveform_of(750, height=-0.05)
    assert count(waveform, np.zeros(1, DOUBLE_PULSE), np.array([0.03, 0.04, 0.06, 0.2])) == 2


def test_recorded_delays_agree_with_the_published_table():
    recording = read_recording(recorded("muon/kanne_180403_waveforms.npz"))
    delays = np.array([decay_time(waveform) or np.nan for waveform, _ in recording])
    is_good = np.abs(delays - recording.decay_time_us) < 0.1
    assert is_good.sum() >= 1070
    assert len(recording) == 1081
