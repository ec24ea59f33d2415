"""Opening, interrupting and closing, as all sources with a device do."""

import pickle
import threading

import pytest

from labdaq.devices.base import DeviceSource
from labdaq.devices.locks import held
from labdaq.errors import BusyError, ClosedError, EndOfDataError, ResourceError, WaitTimeoutError
from labdaq.roles import Source
from tests.devices.slots import Waiting


class Steps(DeviceSource):
    """Prepares in three steps, of which one may fail."""

    shape, dtype = (), "f8"

    def __init__(self, fails_at=None, error=None):
        self.device, self.fails_at, self.error = "steps", fails_at, error
        self.log = []

    def _connect(self, opened):
        for step in range(3):
            if step == self.fails_at:
                raise self.error
            self.log.append(step)
            opened.callback(self.log.append, -step)

    def acquire(self, event):
        self._pause(3600)


def test_what_was_done_is_undone_in_turn():
    with Steps() as source:
        assert source.log == [0, 1, 2]
    assert source.log == [0, 1, 2, -2, -1, 0]
    source.close()
    assert source.log == [0, 1, 2, -2, -1, 0]


@pytest.mark.parametrize("error", [ResourceError("broken"), KeyboardInterrupt(), ZeroDivisionError()])
def test_an_open_that_fails_half_way_is_undone_and_may_be_tried_again(error):
    source = Steps(2, error)
    with pytest.raises(type(error)):
        source.open()
    assert source.log == [0, 1, -1, 0]
    with held("steps"):
        pass
    source.fails_at = None
    with source:
        pass


def test_a_run_that_fails_makes_the_device_safe():
    source = Steps()
    with pytest.raises(ZeroDivisionError):
        with source:
            raise ZeroDivisionError
    assert source.log[3:] == [-2, -1, 0]


def test_making_safe_goes_on_after_a_step_that_fails():
    class Stubborn(Steps):
        def _connect(self, opened):
            super()._connect(opened)
            opened.callback(self._fail)

        def _fail(self):
            raise OSError(5, "gone")

    source = Stubborn()
    with pytest.raises(ResourceError, match="safe state"):
        with source:
            pass
    assert source.log[3:] == [-2, -1, 0]
    with pytest.raises(ZeroDivisionError):  # what went wrong first is what is told
        with source:
            raise ZeroDivisionError
    with held("steps"):
        pass


def test_interrupt_holds_until_it_is_opened_again():
    source = Steps()
    source.interrupt()
    with source:
        with Waiting(source) as waiting:
            source.interrupt()
        assert isinstance(waiting.error, EndOfDataError)
        with pytest.raises(EndOfDataError):
            source.acquire(None)
    with pytest.raises(ClosedError):
        source.acquire(None)
    with source:
        source._check()


def test_the_lock_names_the_run():
    source = Steps()
    source.run = "muons"
    with source, pytest.raises(BusyError, match="'muons'"):
        Steps().open()


def test_a_call_that_cannot_be_interrupted_is_left_to_a_thread():
    go_on, began = threading.Event(), threading.Event()

    class Slow(Steps):
        def acquire(self, event):
            self._in_background(self._ask)

        def _ask(self):
            began.set()
            go_on.wait()
            self.log.append("answered")

        def _wake(self):
            assert began.wait(30)

    with Slow() as source:
        with Waiting(source) as waiting:
            source.interrupt()
        assert isinstance(waiting.error, EndOfDataError)
        assert source.log == [0, 1, 2]
        go_on.set()
    assert source.log == [0, 1, 2, "answered", -2, -1, 0]  # nothing is undone under its feet


def test_losses_are_kept_after_close_and_begin_anew():
    source = Steps()
    assert source.losses() == {}
    with source:
        source._lost("overflow", 2)
        source._lost("overflow")
        source._lost("nothing", 0)
    assert source.losses() == {"overflow": 3}
    with source:
        assert source.losses() == {}


def test_errors_of_the_system_in_our_words():
    with Steps() as source:
        with pytest.raises(WaitTimeoutError, match="switched on"), source._talking("reading"):
            raise TimeoutError
        with pytest.raises(ResourceError, match="reading failed"), source._talking("reading"):
            raise OSError(5, "gone")
        source.interrupt()
        with pytest.raises(EndOfDataError), source._talking("reading"):
            raise OSError(5, "gone")


def test_a_source_that_is_closed_can_be_sent_to_a_process():
    source = Steps()
    with source:
        pass
    assert isinstance(pickle.loads(pickle.dumps(source)), Source)
