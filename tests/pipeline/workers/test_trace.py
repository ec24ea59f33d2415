"""Where records come from, and which came before."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from labdaq.pipeline.workers.repeats import begin_record, end_record, unseen_records
from labdaq.pipeline.workers.trace import descended, is_redelivered, part_of, record_key, trace

parts, origins, counters = st.integers(0, 2**32 - 1), st.integers(1, 2**30 - 1), st.integers(0, 2**62)


@given(origins, parts, st.booleans(), counters)
def test_all_three_come_back_and_a_redelivery_is_the_same_record(origin, part, again, counter):
    number = trace(origin, part, again)
    assert (part_of(number), is_redelivered(number)) == (part, again)
    assert record_key(counter, number) == record_key(counter, trace(origin, part, not again)) > 0


@given(counters, st.lists(st.tuples(st.integers(1, 50), st.integers(0, 500)), unique=True, min_size=2, max_size=20))
def test_records_of_one_event_are_told_apart(counter, names):
    assert len({record_key(counter, trace(*name, False)) for name in names}) == len(names)


@given(st.integers(0, 300), st.integers(0, 300), st.booleans())
def test_parts_stay_apart_when_a_second_filter_passes_them_on(one, other, again):
    first, second = (descended(descended(0, 2, part, again), 3, 0, False) for part in (one, other))
    assert (first == second) == (one == other)


def test_of_two_frames_with_one_record_only_one_is_worked_on_whichever_comes_first():
    table = np.zeros(1 << 16, np.int64)
    first, copy = trace(2, 0, False), trace(2, 0, True)
    assert begin_record(table, 7, copy, 40, False)
    assert not begin_record(table, 7, first, 12, False)
    assert not begin_record(table, 7, copy, 55, False)
    assert begin_record(table, 7, trace(2, 1, True), 41, False)


def test_a_frame_whose_worker_died_is_worked_on_again_unless_it_was_done():
    table = np.zeros(1 << 16, np.int64)
    number = trace(2, 0, False)
    assert begin_record(table, 7, number, 40, False)
    assert begin_record(table, 7, number, 40, True)
    end_record(table, 7, number, 40)
    assert not begin_record(table, 7, number, 40, True)


def test_numbers_that_a_source_gives_twice_are_no_repeats():
    table = np.zeros(1 << 16, np.int64)
    number = trace(2, 0, False)
    assert begin_record(table, 7, number, 40, False)
    assert begin_record(table, 7, number, 41, False)


def test_of_a_batch_those_that_came_before_are_left_out():
    table = np.zeros(1 << 16, np.int64)
    numbers = np.array([trace(2, 0, again) for again in (False, False, True, True, True)])
    chosen = unseen_records(table, np.array([1, 2, 2, 3, 3]), numbers, 100)
    assert chosen.tolist() == [True, True, False, True, False]
