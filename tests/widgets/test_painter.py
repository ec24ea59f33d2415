"""The thread that draws: there while something is shown, and only then."""

import threading

import pytest

from labdaq.widgets.painter import Painter


class Shown:
    def __init__(self, period_s=0.0, fail=0):
        self.period_s, self.fail = period_s, fail
        self.looks, self.troubles, self.threads = 0, [], set()

    def look(self):
        self.looks += 1
        self.threads.add(threading.current_thread().name)
        if self.looks <= self.fail:
            raise ValueError(f"look {self.looks}")

    def trouble(self, error):
        self.troubles.append(str(error))


@pytest.fixture
def painter():
    return Painter()


def names():
    return [thread.name for thread in threading.enumerate()]


def test_one_thread_for_everything_and_none_afterwards(painter, until):
    shown = [Shown(), Shown()]
    for one in shown:
        painter.add(one)
    until(lambda: all(one.looks > 3 for one in shown))
    assert names().count("labdaq-ui") == 1
    for one in shown:
        painter.remove(one)
    assert "labdaq-ui" not in names()
    assert shown[0].threads == {"labdaq-ui"}


def test_it_begins_again(painter, until):
    for _ in range(3):
        one = Shown()
        painter.add(one)
        until(lambda one=one: one.looks)
        painter.remove(one)


def test_what_was_removed_is_not_looked_at(painter, until):
    one, other = Shown(), Shown()
    painter.add(one)
    painter.add(other)
    until(lambda: one.looks)
    painter.remove(one)
    looks, seen = one.looks, other.looks
    until(lambda: other.looks > seen + 3)
    assert one.looks == looks
    painter.remove(other)


def test_what_fails_is_told_and_tried_again_while_others_go_on(painter, until, caplog):
    bad, good = Shown(fail=1), Shown()
    painter.add(bad)
    painter.add(good)
    until(lambda: bad.looks > 1)
    assert bad.troubles == ["look 1"]
    assert good.looks > 1
    assert "Traceback" in caplog.text
    painter.remove(bad)
    painter.remove(good)


def test_one_that_looks_rarely_does_not_look_often(painter, until):
    rare, often = Shown(period_s=3600), Shown()
    painter.add(rare)
    painter.add(often)
    until(lambda: often.looks > 20)
    assert rare.looks == 1
    painter.remove(rare)
    painter.remove(often)


def test_it_may_be_removed_while_it_is_looked_at(painter, until):
    class Once(Shown):
        def look(self):
            super().look()
            painter.remove(self)

    one = Once()
    painter.add(one)
    until(lambda: "labdaq-ui" not in names())
    assert one.looks == 1
