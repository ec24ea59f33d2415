"""Decays: made up by hand, and recorded ones against what mimoCoRB's filter finds on them."""

import json

import numpy as np
import pytest
from numba import njit
from scipy import signal

from labdaq import sim
from labdaq.errors import LayoutError
from labdaq.kernels import (
    DECAY,
    DECAY_UNITS,
    decay_cut,
    decay_filter,
    decay_room,
    decide_decay,
    find_decays,
    find_peaks,
    group_peaks,
    parse_signatures,
)
from labdaq.kernels.coincidences import group_peaks_reference
from labdaq.kernels.decay_advice import NothingFoundWarning
from tests.recorded import recorded

UP, DOWN = ("++--", "0+--"), ("++--", "--+0")
SETTINGS = {"first_prominence": 90, "second_prominence": 35, "sample_interval_ns": 8}
TRIANGLE = np.bartlett(41)


def event_of(*pulses, channels=4):
    """Pulses of (channel, position of the top, height)."""
    waveforms = np.zeros((channels, 2000))
    for channel, top, height in pulses:
        waveforms[channel, top - 20 : top + 21] += height * TRIANGLE
    return waveforms


def decide(*pulses, **settings):
    return find_decays(event_of(*pulses)[None], [UP, DOWN], **{**SETTINGS, **settings})[0]


def test_decay_upwards():
    found = decide((0, 200, 150), (1, 204, 200), (1, 702, 40))
    assert (found["signature"], found["groups"]) == (0, 2)
    assert (found["first_position"], found["second_position"]) == (202, 702)
    assert found["decay_time"] == pytest.approx(500 * 8e-3)
    assert (found["first_height"], found["second_height"]) == (200, 40)


def test_decay_downwards():
    found = decide((0, 200, 150), (1, 200, 150), (2, 700, 50), (3, 710, 50))
    assert (found["signature"], found["second_position"]) == (1, 705)


def test_more_groups_do_not_matter():
    found = decide((0, 200, 150), (1, 200, 150), (1, 700, 50), (3, 900, 50))
    assert (found["signature"], found["groups"]) == (0, 3)


@pytest.mark.parametrize(
    "pulses",
    [
        [],
        [(0, 200, 150), (1, 200, 150)],
        [(0, 200, 150), (1, 200, 150), (2, 200, 150), (1, 700, 50)],
        [(0, 200, 80), (1, 200, 150), (1, 700, 50)],
        [(0, 200, 150), (1, 200, 150), (1, 700, 30)],
        [(0, 200, 150), (1, 230, 150), (1, 700, 50)],
    ],
    ids=["quiet", "one group", "went through", "first too low", "second too low", "no coincidence"],
)
def test_dropped(pulses):
    assert decide(*pulses)["signature"] == -1


def test_a_low_peak_in_the_first_group_is_as_good_as_none():
    found = decide((0, 200, 150), (1, 204, 150), (2, 200, 80), (1, 700, 50))
    assert (found["signature"], found["first_position"]) == (0, 202)


def test_polarity_and_integers():
    pulses = (0, 200, 150), (1, 200, 150), (1, 700, 50)
    events = np.round(-event_of(*pulses)).astype(np.int16)[None]
    events.setflags(write=False)
    assert find_decays(events, [UP], polarity=-1, **SETTINGS)["signature"] == [0]
    assert find_decays(events, [UP], **SETTINGS)["signature"] == [-1]


def test_room_is_used_again_for_event_after_event():
    events = np.stack([event_of((0, 200, 150), (1, 200, 150), (1, 700, 50)), event_of(), event_of((3, 300, 99))])
    cut = decay_cut(90, 35, sample_interval_ns=8)

    @njit
    def count(events, cut, signatures, room, out):
        accepted = 0
        for i in range(len(events)):
            accepted += decide_decay(events[i], cut, signatures, room, out)
        return accepted

    out = np.zeros(1, DECAY)
    assert count(np.concatenate([events] * 3), cut, parse_signatures([UP]), decay_room(4, 2000, 2), out) == 3
    assert out[0]["signature"] == -1
    assert np.isnan(out[0]["decay_time"])


def test_filter_decides_as_the_batch_does():
    events = np.stack([event_of((0, 200, 150), (1, 200, 150), (1, 700, 50)), event_of(), event_of((3, 300, 99))])
    decide, out = decay_filter([UP, DOWN], 90, 35, sample_interval_ns=8), np.zeros(3, DECAY)
    assert [decide(event, out[i:]) for i, event in enumerate(events)] == [1, 0, 0]
    found = find_decays(events, [UP, DOWN], **SETTINGS)
    for name in DECAY.names:
        np.testing.assert_array_equal(out[name], found[name])
    with pytest.raises(LayoutError, match="a channel for each letter"):
        decide(events[0, :3], out)


def test_units_name_every_field():
    assert set(DECAY_UNITS) == set(DECAY.names)


@pytest.mark.parametrize("events", [np.zeros((4, 100)), np.zeros((1, 3, 100)), np.zeros((1, 4, 100), complex)])
def test_what_has_not_the_shape_of_events(events):
    with pytest.raises(LayoutError, match="4 channels"):
        find_decays(events, [UP], **SETTINGS)


@pytest.mark.parametrize("setting", [{"polarity": 0}, {"window": 0}, {"sample_interval_ns": 0}, {"distance": 0}])
def test_settings_outside_their_range(setting):
    with pytest.raises(LayoutError, match="must be"):
        decide(**setting)


def recorded_millivolts(name):
    """As in the expected results: pulses up, in millivolts over the median of the first samples."""
    with np.load(recorded(f"muon/{name}_waveforms.npz")) as file:
        millivolts = -1000 * file["levels"]  # float32, as recorded: some prominences are those of the cut
        pulses = millivolts.astype(np.float64)[file["index"]]
    pulses = pulses.reshape(len(pulses), -1, pulses.shape[-1])
    return pulses - np.median(pulses[..., :150], axis=-1, keepdims=True)


def expected_of(name, prominences):
    everything = json.loads(recorded("muon/mimocorb_filter.expected.json").read_text())
    (found,) = (one for key, one in everything.items() if key.startswith(name) and f" {prominences} mV" in key)
    return found


def assert_as_expected(found, expected):
    is_accepted = found["signature"] >= 0
    assert (len(found), is_accepted.sum()) == (expected["n_input"], expected["n_double"])
    numbers, signatures, times = (list(column) for column in zip(*expected["first10"], strict=True))
    assert np.flatnonzero(is_accepted)[:10].tolist() == numbers
    assert found["signature"][numbers].tolist() == signatures
    assert found["decay_time"][numbers] == pytest.approx(times)
    # Which of two equally high samples is the peak, SciPy leaves to chance: some delays are a few samples off.
    histogram, _ = np.histogram(found["decay_time"][is_accepted], 30, (0, 15))
    assert np.abs(histogram - expected["decay_time_hist_0_15us_30bins"]).sum() <= 0.005 * expected["n_double"]


@pytest.mark.parametrize("prominences", ["20/20", "30/30", "40/40"])
def test_recorded_events_of_two_panels(prominences):
    first, second = map(float, prominences.split("/"))
    found = find_decays(
        recorded_millivolts("cosmo_180514"),
        [("+0", "+0"), ("+0", "0+")],
        first_prominence=first,
        second_prominence=second,
        width=4,
        sample_interval_ns=4,
    )
    expected = expected_of("cosmo", prominences)
    assert_as_expected(found, expected)
    assert np.bincount(found["signature"]).tolist() == expected["by_signature"]
    assert expected["n_double"] == 1012


def test_settings_that_find_nothing_in_recorded_events_say_why():
    """mimoCoRB's own example asks for a width that none of these pulses has."""
    with pytest.warns(NothingFoundWarning, match=r"none of 1012 .* narrower than width=10 samples"):
        found = find_decays(
            recorded_millivolts("cosmo_180514"),
            [("+0", "+0"), ("+0", "0+")],
            first_prominence=30,
            second_prominence=30,
            width=10,
            sample_interval_ns=4,
        )
    assert (found["signature"] < 0).all()


@pytest.mark.parametrize(
    ("events", "settings", "match"),
    [
        (np.full((20, 4, 2000), 3.0), {}, "look at the unit"),
        (-np.stack([event_of((0, 200, 150), (1, 204, 200))] * 20), {}, "change the polarity"),
    ],
)
def test_pulses_that_are_too_low_or_upside_down_say_so(events, settings, match):
    with pytest.warns(NothingFoundWarning, match=match):
        find_decays(events, [UP], **{**SETTINGS, **settings})


@pytest.mark.parametrize("prominences", ["45/35", "90/35", "30/30"])
def test_recorded_events_of_one_detector(prominences):
    first, second = map(float, prominences.split("/"))
    found = find_decays(
        recorded_millivolts("kanne_180403"),
        [("+", "+")],
        first_prominence=first,
        second_prominence=second,
        sample_interval_ns=4,
    )
    assert_as_expected(found, expected_of("kanne", prominences))


def test_the_decision_is_made_of_the_public_steps():
    rng = np.random.default_rng(4)
    event = event_of((0, 200, 150), (1, 204, 200), (1, 702, 60)) + rng.normal(0, 2, (4, 2000))
    peaks = [find_peaks(row, prominence=35, distance=10, width=10) for row in event]
    groups = group_peaks([row["index"] for row in peaks], 20)
    means = [np.mean([peaks[c]["index"][n] for c, n in enumerate(group) if n >= 0]) for group in groups[:2]]
    found = find_decays(event[None], [UP], **SETTINGS)[0]
    assert found["groups"] == len(groups)
    assert found["decay_time"] == pytest.approx((means[1] - means[0]) * 8e-3)


def scipy_decides(event, signatures, first_mv, second_mv):
    """The definition, event by event: number of the signature or -1, decay time in us, heights of the groups."""
    found = [signal.find_peaks(row, prominence=second_mv, distance=10, width=10) for row in event]
    groups = group_peaks_reference([row.tolist() for row, _ in found], 20)
    if len(groups) < 2:
        return -1, None, None
    left, means, heights = [], [], []
    for group, least in zip(groups[:2], (first_mv, second_mv), strict=True):
        tall = [k if k >= 0 and found[c][1]["prominences"][k] >= least else -1 for c, k in enumerate(group)]
        if max(tall) < 0:
            return -1, None, None
        left.append(tall)
        means.append(np.mean([found[c][0][k] for c, k in enumerate(tall) if k >= 0]))
        heights.append(max(found[c][1]["prominences"][k] for c, k in enumerate(tall) if k >= 0))
    peaks = [k for group in left for k in group]
    for number, words in enumerate(signatures):
        if all(s == "0" or (s == "+") == (k >= 0) for s, k in zip("".join(words), peaks, strict=True)):
            return number, (means[1] - means[0]) * 8e-3, heights
    return -1, None, None


def test_simulated_events_are_decided_as_by_the_definition_with_scipy():
    stack, accepted = sim.MuonStack(seed=7, stopped=0.5), 0
    for _ in range(10):
        events = stack.batch(200).data.astype(np.float64)
        for event, ours in zip(events, find_decays(events, [UP, DOWN], **SETTINGS), strict=True):
            number, time_us, heights = scipy_decides(event, [UP, DOWN], 90, 35)
            assert ours["signature"] == number
            if number >= 0:
                accepted += 1
                assert ours["decay_time"] == pytest.approx(time_us)
                assert [ours["first_height"], ours["second_height"]] == pytest.approx(heights)
    assert 200 < accepted < 1000
