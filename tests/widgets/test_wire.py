"""The wire: only the newest frame, no more than pages can paint, and little memory whatever they do."""

import numpy as np
import pytest

from labdaq.widgets.wire import PATIENCE_S, WINDOW, Wire


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def sent():
    return []


@pytest.fixture
def wire(sent, clock):
    return Wire(lambda about, buffers: sent.append((about, [bytes(one) for one in buffers])), clock)


def offer(wire, value):
    return wire.offer({"s": {"y": np.full(10, float(value))}})


def test_nothing_is_sent_while_nobody_looks(wire, sent):
    assert not any(offer(wire, n) for n in range(100))
    assert sent == []


def test_a_new_page_gets_everything_as_it_is_now(wire, sent):
    wire.offer({"a": {"x": np.arange(3), "y": np.zeros(3)}, "b": {"z": np.ones((2, 2))}}, {"range": {"start": 1}})
    wire.offer({"a": {"y": np.full(3, 7.0)}}, {"range": {"end": 2}})
    wire.heard({"ready": "p"})
    about, buffers = sent[-1]
    assert about["sources"] == [["a", [["x", "i4", [3]], ["y", "f4", [3]]]], ["b", [["z", "f4", [2, 2]]]]]
    assert np.frombuffer(buffers[1], "f4").tolist() == [7, 7, 7]
    assert about["settings"] == [["range", {"start": 1, "end": 2}]]


def test_what_has_not_changed_is_not_sent_again(wire, sent):
    wire.heard({"ready": "p"})
    wire.offer({"a": {"x": np.zeros(2)}}, {"range": {"start": 1, "end": 2}})
    wire.offer({"b": {"x": np.zeros(2)}}, {"range": {"start": 1, "end": 3}})
    assert [name for name, _ in sent[-1][0]["sources"]] == ["b"]
    assert sent[-1][0]["settings"] == [["range", {"end": 3}]]
    assert not wire.offer({}, {"range": {"end": 3}})


def test_arrays_are_copied(wire, sent):
    values = np.zeros(4, np.float32)
    wire.offer({"s": {"y": values}})
    values[:] = 9
    wire.heard({"ready": "p"})
    assert np.frombuffer(sent[-1][1][0], "f4").tolist() == [0, 0, 0, 0]


def test_a_page_that_paints_gets_every_frame(wire, sent, clock):
    wire.heard({"ready": "p"})
    for n in range(1000):
        assert offer(wire, n)
        clock.now += 1 / 30
        if n % 15 == 0:
            wire.heard({"painted": wire.sent, "page": "p"})
    assert len(sent) == 1000
    assert wire.dropped == 0


@pytest.mark.parametrize("per_s", [5, 12, 100])
def test_a_slow_page_is_sent_what_it_can_paint_and_stays_up_to_date(wire, sent, clock, per_s):
    wire.heard({"ready": "p"})
    painted, told_s, late = 1.0, clock.now, []
    for n in range(60 * 30):
        offer(wire, n)
        clock.now += 1 / 30
        painted = min(painted + per_s / 30, wire.sent)
        if clock.now - told_s > 0.5:
            told_s = clock.now
            wire.heard({"painted": int(painted), "page": "p"})
        late.append(wire.sent - painted)
    assert max(late[900:]) < 15
    assert len(sent) > 0.7 * 60 * min(per_s, 30)


@pytest.mark.promise("P5", "a page that is frozen for a day, in simulated time, gets a bounded number of bytes")
def test_a_frozen_page_gets_little_in_a_whole_day(wire, sent, clock):
    wire.heard({"ready": "p"})
    for n in range(24 * 3600):
        offer(wire, n)
        clock.now += 1.0
    assert len(sent) < 400
    assert wire.dropped == 24 * 3600 - len(sent)


def test_a_page_that_thaws_gets_the_newest_at_once(wire, sent, clock):
    wire.heard({"ready": "p"})
    for n in range(1, 4 * WINDOW):
        offer(wire, n)
        clock.now += 0.01
    assert wire.in_flight >= WINDOW
    wire.heard({"painted": wire.sent, "page": "p"})
    assert offer(wire, 4711)
    assert np.frombuffer(sent[-1][1][0], "f4")[0] == 4711


def test_a_page_that_was_loaded_anew_does_not_slow_the_others(wire, sent, clock):
    wire.heard({"ready": "gone without a word"})
    wire.heard({"ready": "alive"})
    before = len(sent)
    seconds = PATIENCE_S + 10
    for n in range(int(seconds * 30)):
        offer(wire, n)
        clock.now += 1 / 30
        wire.heard({"painted": wire.sent, "page": "alive"})
    assert len(sent) - before > 10 * 30


def test_a_page_that_was_given_up_comes_back(wire, sent, clock):
    for page in ("slow", "quick"):
        wire.heard({"ready": page})
    for n in range(300):
        offer(wire, n)
        clock.now += 1 / 30
        wire.heard({"painted": wire.sent, "page": "quick"})
    wire.heard({"gone": "quick"})
    assert not wire.is_watched
    wire.heard({"painted": 3, "page": "slow"})
    assert wire.is_watched
    assert np.frombuffer(sent[-1][1][0], "f4")[0] == 299


def test_when_the_last_page_goes_the_traffic_ends(wire, sent):
    for page in "ab":
        wire.heard({"ready": page})
    wire.heard({"gone": "a"})
    assert offer(wire, 1)
    wire.heard({"gone": "b"})
    wire.heard({"gone": "b"})
    assert not offer(wire, 2)


@pytest.mark.parametrize("nonsense", [{}, {"painted": 10**9, "page": "p"}, {"gone": 7}, {"painted": -5, "page": "p"}])
def test_nonsense_does_no_harm(wire, sent, nonsense):
    wire.heard({"ready": "p"})
    wire.heard(nonsense)
    assert offer(wire, 1)
