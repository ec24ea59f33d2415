"""Triggers: the compiled version against the definition, and worked examples."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from labdaq.errors import LayoutError, NotFoundError
from labdaq.kernels import find_triggers
from labdaq.kernels.triggers import find_triggers_reference
from labdaq.roles import Trigger

LEVELS = st.integers(1, 5)

TRIGGERS = st.builds(
    Trigger,
    LEVELS,
    edge=st.sampled_from(["rising", "falling", "both"]),
    channel=st.integers(0, 2),
    width=st.integers(1, 4),
    coincidence=st.lists(st.tuples(st.sampled_from(["A", "B", "C"]), LEVELS), max_size=2).map(tuple),
    window=st.integers(0, 4),
    prescale=st.integers(1, 3),
)


@settings(max_examples=150)
@given(
    arrays(
        st.sampled_from(["i2", "f8"]), st.tuples(st.integers(0, 3), st.just(3), st.integers(0, 40)), elements=LEVELS
    ),
    TRIGGERS,
)
def test_compiled_version_equals_the_definition(waveforms, trigger):
    expected = find_triggers_reference(waveforms, trigger, "ABC")
    np.testing.assert_array_equal(find_triggers(waveforms, trigger, "ABC"), expected)
    for number, event in enumerate(waveforms[:1]):
        one = find_triggers(event, trigger, "ABC")
        np.testing.assert_array_equal(one, find_triggers_reference(event, trigger, "ABC"))
        np.testing.assert_array_equal(one, expected[expected[:, 0] == number, 1])


@pytest.mark.parametrize("find", [find_triggers, find_triggers_reference])
class TestConditions:
    def test_edges(self, find):
        waveform = np.array([0.0, 5, 5, 9, 5, 4, 5])
        assert find(waveform, Trigger(5)).tolist() == [1, 6]
        assert find(waveform, Trigger(5, edge="falling")).tolist() == [4]
        assert find(waveform, Trigger(5, edge="both")).tolist() == [1, 4, 6]

    def test_a_waveform_that_begins_beyond_the_level_has_no_edge_there(self, find):
        assert find(np.array([9.0, 9, 0, 9]), Trigger(5)).tolist() == [3]

    def test_width_counts_from_the_edge_and_ends_with_the_waveform(self, find):
        waveform = np.array([0.0, 9, 0, 9, 9, 0, 0, 9])
        assert find(waveform, Trigger(5, width=1)).tolist() == [1, 3, 7]
        assert find(waveform, Trigger(5, width=2)).tolist() == [3]

    def test_others_count_before_and_after_the_edge(self, find):
        event = np.zeros((2, 40))
        event[0, [10, 20, 30]] = 9
        event[1, [7, 23, 34]] = 4
        coincidence = Trigger(5, coincidence=((1, 4.0),), window=3)
        assert find(event, coincidence).tolist() == [10, 20]
        assert find(event, Trigger(5, coincidence=((1, 4.5),), window=3)).tolist() == []

    def test_after_a_falling_edge_others_must_be_below(self, find):
        event = np.array([[0.0, 0, -9, 0], [0, 0, 0, -9]])
        assert find(event, Trigger(-5, edge="falling", coincidence=((1, -5.0),), window=1)).tolist() == [2]
        assert find(event, Trigger(-5, edge="falling", coincidence=((1, -5.0),), window=0)).tolist() == []

    def test_prescale_keeps_the_first_and_goes_on_from_event_to_event(self, find):
        batch = np.tile([0.0, 9, 0, 9, 0, 9], (2, 1, 1))
        assert find(batch, Trigger(5, prescale=2)).tolist() == [[0, 1], [0, 5], [1, 3]]

    def test_what_is_no_number_is_no_edge(self, find):
        assert find(np.array([0.0, np.nan, 9, 0, 9]), Trigger(5)).tolist() == [4]


def test_more_triggers_than_expected():
    assert len(find_triggers(np.tile([0.0, 9], 500), Trigger(5))) == 500


@pytest.mark.parametrize("channel", [2, -1, "C"])
def test_channels_that_are_not_there(channel):
    with pytest.raises(NotFoundError, match=r"there are 0 to 1, with 'A', 'B'"):
        find_triggers(np.zeros((2, 3)), Trigger(1, channel=channel), ["A", "B"])


@pytest.mark.parametrize("waveforms", [1.0, np.zeros((1, 1, 1, 1)), np.zeros(3, complex), ["a"]])
def test_only_real_samples(waveforms):
    with pytest.raises(LayoutError, match="real samples of shape"):
        find_triggers(waveforms, Trigger(1))
