"""Peaks: equal to SciPy's for any waveform and any cuts; worked examples of what SciPy leaves open."""

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import signal

from labdaq.errors import LayoutError
from labdaq.kernels import PEAK, find_peaks, peak_cut
from labdaq.kernels.peak_scan import BLOCK
from labdaq.kernels.peak_steps import find_peaks_into, peak_room

SCIPY_NAMES = {
    "height": "peak_heights",
    "prominence": "prominences",
    "left_base": "left_bases",
    "right_base": "right_bases",
    "width": "widths",
    "width_height": "width_heights",
    "left_ip": "left_ips",
    "right_ip": "right_ips",
    "left_edge": "left_edges",
    "right_edge": "right_edges",
}

# Few different levels make plateaus and equal heights; several blocks make searches jump.
LENGTHS = st.one_of(st.integers(0, 12), st.integers(13, 4 * BLOCK))
LEVELS = arrays(st.sampled_from(["i1", "u1", "i2", "i8", "f4", "f8"]), LENGTHS, elements=st.integers(0, 12))
NOISE = arrays(st.sampled_from(["f4", "f8"]), LENGTHS, elements=st.floats(-100, 100, width=16))
WITH_NAN = arrays("f8", LENGTHS, elements=st.one_of(st.integers(0, 9).map(float), st.just(np.nan)))
WAVEFORMS = st.one_of(LEVELS, NOISE, WITH_NAN)


def limits(most):
    value = st.floats(0, most)
    bound = st.one_of(st.none(), value)
    return st.one_of(st.none(), value, st.integers(0, int(most)), st.tuples(bound, bound))


CUTS = st.fixed_dictionaries(
    {},
    optional={
        "height": limits(12),
        "threshold": limits(4),
        "prominence": limits(12),
        "width": limits(8),
        "wlen": st.one_of(st.none(), st.floats(1.5, 3 * BLOCK)),
        "rel_height": st.floats(0, 1.5),
        "plateau_size": limits(5),
    },
)


def assert_same(found, expected, properties):
    np.testing.assert_array_equal(found["index"], expected)
    for ours, theirs in SCIPY_NAMES.items():
        if theirs in properties:
            np.testing.assert_allclose(found[ours], properties[theirs], rtol=1e-13, atol=0, err_msg=theirs)


@pytest.mark.filterwarnings("ignore:some peaks have a")
@given(WAVEFORMS, CUTS)
@example(np.array([0, 1, 1, 0, 1, 0.0]), {"width": (None, None), "wlen": 2.0})
@example(np.repeat([1.0, 0, 2, 0, 3, 0], 3 * BLOCK), {"prominence": 1, "width": 1})
def test_equal_to_scipy(waveform, cuts):
    assert_same(find_peaks(waveform, **cuts), *signal.find_peaks(waveform, **cuts))


@pytest.mark.filterwarnings("ignore:some peaks have a")
@given(st.permutations(range(60)), st.floats(1, 30), CUTS)
def test_thinned_out_as_by_scipy(waveform, distance, cuts):
    found = find_peaks(waveform, distance=distance, **cuts)
    assert_same(found, *signal.find_peaks(waveform, distance=distance, **cuts))


@given(LEVELS, st.integers(1, 30), limits(12))
def test_of_equal_heights_the_later_stays(waveform, distance, prominence):
    """A trifle more for each later sample of a level makes SciPy's choice the same everywhere."""
    plain = signal.find_peaks(waveform.astype(float))[0]
    assume(len(plain))
    raised = waveform.astype(float)
    raised[plain] += 1e-6 * (1 + np.arange(len(plain)))
    found = find_peaks(waveform, distance=distance)["index"]
    # Raising the middle of a plateau makes a peak of the same place.
    np.testing.assert_array_equal(found, signal.find_peaks(raised, distance=distance)[0])


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("dtype", ["f4", "f8", "i2"])
def test_noisy_pulses_as_a_detector_sends_them(seed, dtype):
    rng = np.random.default_rng(seed)
    waveform = rng.normal(0, 4, 4250)
    for start in rng.integers(0, 4000, 5):
        waveform[start : start + 200] += rng.uniform(30, 200) * np.exp(-np.arange(200) / 25)
    waveform = waveform.astype(dtype)
    for cuts in ({"prominence": 35, "distance": 10.5, "width": 4}, {"width": (2, 30)}, {"prominence": (1, 9)}):
        if dtype == "i2":
            cuts.pop("distance", None)  # equal heights
        assert_same(find_peaks(waveform, **cuts), *signal.find_peaks(waveform, **cuts))


def test_nan_is_a_border():
    waveform = [0, 5, 1, np.nan, 0, 3, 0, 9, np.nan]
    found = find_peaks(waveform, prominence=0)
    assert found["index"].tolist() == [1, 5]
    assert found["right_base"].tolist() == [2, 4 + 2]
    assert len(find_peaks(np.full(200, np.nan), prominence=1)) == 0


def test_what_is_not_asked_for_is_not_measured():
    (peak,) = find_peaks([0, 1, 1, 0])
    assert (peak["index"], peak["left_edge"], peak["right_edge"], peak["height"]) == (1, 1, 2, 1)
    assert (peak["left_base"], peak["right_base"]) == (-1, -1)
    assert np.isnan([peak[name] for name in ("prominence", "width", "width_height", "left_ip", "right_ip")]).all()


@pytest.mark.parametrize("waveform", [[], [1], [1, 2], [1, 1, 1], [0, 1], [3, 2, 1]])
def test_no_peak(waveform):
    found = find_peaks(waveform, prominence=0, width=0)
    assert found.dtype == PEAK
    assert len(found) == 0


def test_rows_of_a_batch_and_read_only_waveforms():
    batch = np.zeros((3, 2, 40), "f4")
    batch[1, 1, 20] = 1
    batch.setflags(write=False)
    assert find_peaks(batch[1, 1], prominence=0.5)["index"].tolist() == [20]
    assert find_peaks(batch[:, 1, 20])["index"].tolist() == [1]


def test_room_is_never_too_small():
    zigzag = np.tile([0.0, 1.0], 500)
    room = peak_room(len(zigzag))
    assert find_peaks_into(zigzag, peak_cut(prominence=0, width=0), room) == 499


@pytest.mark.parametrize("waveform", [np.zeros((2, 3)), 1.0, np.zeros(3, complex), ["a"]])
def test_only_rows_of_real_samples(waveform):
    with pytest.raises(LayoutError, match="row of real samples"):
        find_peaks(waveform)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"distance": 0.5}, "distance must be at least 1"),
        ({"wlen": 1}, "wlen must be more than 1"),
        ({"rel_height": -1}, "rel_height must not be negative"),
        ({"height": (1, 2, 3)}, "height is a number or a pair"),
        ({"width": "wide"}, "width is a number or a pair"),
    ],
)
def test_settings_outside_their_range(settings, message):
    with pytest.raises(LayoutError, match=message):
        find_peaks([0, 1, 0], **settings)
