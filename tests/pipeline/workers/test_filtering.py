"""Filters: the same comes of them in threads, in processes and compiled, and what they do wrong is set apart."""

import numpy as np
import pytest

from labdaq.errors import LayoutError
from labdaq.files import read_npz
from labdaq.pipeline import Pipeline, RunState
from tests.pipeline.making import Seen, chain

NEGATIVE, TOO_MANY = 5, 8


def records():
    for number in range(12):
        yield np.full(4, {NEGATIVE: -1.0, TOO_MANY: 1000.0}.get(number, float(number)))


def parts(data, out):
    """As many records as the value modulo 3 says."""
    if data[0] < 0:
        raise ValueError("this is negative")
    if data[0] > 999:
        return 7
    count = int(data[0]) % 3
    for part in range(count):
        out[part, :] = data + 0.5 * part
    return count


@pytest.mark.parametrize("place", ["threads", "processes", "compiled"])
def test_the_same_comes_of_a_function_wherever_it_runs(place, tmp_path):
    with Pipeline("places", store=tmp_path) as daq:
        raw, copied, found = (daq.ring(name, "f8", (4,), 16) for name in ("raw", "copied", "found"))
        daq.source(records, raw)
        daq.filter(parts, raw, [copied, found], most=2, run_in=place)
        copies, seen = daq.sink(Seen(), copied, name="copies"), daq.sink(Seen(), found, name="seen")
        result = daq.run()
    good = [n for n in range(12) if n not in {NEGATIVE, TOO_MANY}]
    assert result.state == RunState.ENDED
    assert copies.counters == [n for n in good if n % 3]
    assert seen.values == [n + 0.5 * part for n in good for part in range(n % 3)]
    assert seen.counters == [n for n in good for _ in range(n % 3)]
    node = result.ledger["parts"]
    assert (node.received, node.accepted, node.rejected, node.quarantined) == (12, 6, 4, 2)
    assert (node.written, result.ledger.is_closed) == (6 + len(seen.values), True)
    assert result.nerror == 2
    assert "ValueError: this is negative" in result.errors[0]
    assert "return" in result.errors[1]
    assert "filter 'parts'" in result.errors[1]
    kept = sorted((result.folder / "quarantine").iterdir())
    assert [path.name.split("-")[1] for path in kept] == [str(NEGATIVE), str(TOO_MANY)]
    event = read_npz(kept[0])
    assert event.arrays["data"].tolist() == [-1.0] * 4
    assert (event.metadata["counter"], event.metadata["worker"]) == (NEGATIVE, "parts-1")
    assert "this is negative" in event.metadata["error"]
    assert str(kept[0]) in result.errors[0]


@pytest.mark.parametrize("place", ["threads", "processes"])
def test_every_form_of_answer(place):
    def answers(event):
        data = event.data
        return {
            1: False,
            2: True,
            3: (data * 2, None),
            4: (None, np.array([1.0, 2.0])),
            5: ([data, data * 3], np.array(5.0)),
            6: np.True_,
            7: (data.astype("f4"), None),  # dtype
            8: (np.zeros(3), None),  # shape
            9: 1,  # a number
            10: (data, None, None),  # how many
        }.get(event.counter)

    with Pipeline("answers", store=None) as daq:
        raw, same, heights = daq.ring("raw", "f8", (4,), 16), daq.ring("same", "f8", (4,)), daq.ring("heights", "f8")
        daq.source([np.full(4, float(n)) for n in range(11)], raw)
        daq.filter(answers, raw, [same, heights], run_in=place)
        kept, high = daq.sink(Seen(), same, name="kept"), daq.sink(Seen(), heights, name="high")
        result = daq.run()
    assert list(zip(kept.counters, kept.values, strict=True)) == [(3, 6.0), (5, 5.0), (5, 15.0)]
    assert list(zip(high.counters, high.values, strict=True)) == [(4, 1.0), (4, 2.0), (5, 5.0)]
    node = result.ledger["answers"]
    assert (node.accepted, node.rejected, node.quarantined) == (3, 2, 6)
    assert result.ledger.is_closed
    told = [
        "passes its input on, float64 of shape (4,), and ring 'answers.heights' takes float64 of shape ()",
        "passes its input on, float64 of shape (4,), and ring 'answers.heights' takes float64 of shape ()",
        "must give ring 'answers.same' float64 of shape (4,): it gave float32 of shape (4,)",
        "must give ring 'answers.same' float64 of shape (4,): it gave float64 of shape (3,)",
        "has 2 outputs (answers.same, answers.heights) and must return None, a bool, or a tuple of 2, and gave 1",
        "has 2 outputs (answers.same, answers.heights) and must return None, a bool, or a tuple of 2, and gave 3",
    ]
    for error, text in zip(result.errors, told, strict=True):
        assert f"filter 'answers' {text}" in error
        assert "ValueError" not in error


def test_two_outs_are_filled_and_wrong_numbers_are_told_before_anything_is_written():
    def fill(data, low, high):
        low[:, 0], high[:, 0] = data[0], -data[0]
        return [(1, 2), (0, 0), (1, 99), (1,), 1, None, (2, 0)][int(data[0])]

    with Pipeline("outs", store=None) as daq:
        raw, low, high = (daq.ring(name, "f8", (4,), 16) for name in ("raw", "low", "high"))
        daq.source([np.full(4, float(n)) for n in range(7)], raw)
        daq.filter(fill, raw, [low, high], most=2)
        lows, highs = daq.sink(Seen(), low, name="lows"), daq.sink(Seen(), high, name="highs")
        result = daq.run()
    assert lows.values == [0, 4, 6, 6]
    assert highs.values == [0, 0, -4]
    assert len(result.errors) == 3
    assert "for ring 'outs.high', 0 to 2, and returned 99" in result.errors[0]
    assert "fills 2 outputs and must return a number for each, and returned 1: (1,)" in result.errors[1]
    assert "returned None" in result.errors[2]
    assert result.ledger.is_closed


def test_a_filter_that_fails_too_often_ends_the_run_which_drains_and_closes():
    def fail(event):
        raise KeyError(event.counter)

    with Pipeline("failing", store=None) as daq:
        chain(daq, fail, max_errors=3, workers=2)
        result = daq.run()
    assert result.state == RunState.FAILED
    assert "gave up after 3 errors" in result.reason
    assert result.ledger["find"].quarantined == 6
    assert result.ledger["find"].undelivered == result.ledger["source"].accepted - 6
    assert result.ledger.is_closed


def test_outputs_that_do_not_fit_a_filter_fail_the_run_with_the_reason():
    def fill(data, one, two, three):
        return 0

    for run_in in ("threads", "compiled"):
        with Pipeline("misfit", store=None) as daq:
            chain(daq, fill, run_in=run_in)
            result = daq.run(events=5)
            assert result.state == RunState.FAILED
            assert "LayoutError" in result.reason
            assert result.ledger.is_closed
    with Pipeline("places", store=None) as daq:
        raw = daq.ring("raw", "f8", (4,))
        with pytest.raises(LayoutError, match=r"it can run in threads, processes$"):
            daq.sink(print, raw, run_in="compiled")
