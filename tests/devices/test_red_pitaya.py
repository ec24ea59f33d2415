"""A Red Pitaya, spoken to over TCP."""

import numpy as np
import pytest

from labdaq.devices.red_pitaya import RedPitaya
from labdaq.errors import BusyError, EndOfDataError, LayoutError, ResourceError, WaitTimeoutError
from labdaq.roles import Trigger, parameters_of
from tests.devices.servers import Board, serving
from tests.devices.slots import PATIENCE, Waiting, acquired


@pytest.fixture
def board():
    board = Board()
    with serving(board.talk) as board.port:
        yield board


def source_of(board, *arguments, **settings):
    return RedPitaya("127.0.0.1", *arguments, port=board.port, timeout=PATIENCE, **settings)


@pytest.mark.parametrize("batch", [None, 1, 3])
def test_waveforms_of_both_inputs_in_order(board, batch):
    with source_of(board, samples=200, batch=batch) as source:
        events = [acquired(source).data for _ in range(7)]
    for number, event in enumerate(events):
        assert event.dtype == np.int16
        np.testing.assert_array_equal(event, [np.arange(200), np.full(200, -number)])


def test_settings_reach_the_board(board):
    trigger = Trigger(-50, "falling", "IN2")
    with source_of(board, trigger, samples=400, pretrigger=0.25, decimation=16, negate=(False, True)) as source:
        acquired(source)
        header = source.header
    assert header["sample_interval_ns"] == 128
    assert header["trigger_channel"] == "IN2"
    wanted = {
        (4, 0): 16,
        (5, 0): 0,
        (5, 1): 1,
        (13, 1): 0,
        (14, 0): 1,
        (15, 0): 0,
        (16, 0): -50,
        (17, 0): 100,
        (18, 0): 400,
    }
    assert wanted.items() <= board.settings.items()


def test_the_spare_samples_of_a_batch_are_asked_for_and_left_out(board):
    with source_of(board, samples=50, batch=2) as source:
        assert acquired(source).data.shape == (2, 50)
    assert board.settings[18, 0] == 150
    assert board.settings[31, 0] == 2


def test_parameters_change_while_data_are_taken(board):
    with source_of(board) as source:
        acquired(source)
        acquired(source)
        assert board.commands.count(16) == 1
        parameters_of(source)["level"].set(77)
        source.auto = True
        acquired(source)
        assert board.settings[16, 0] == 77
        assert board.settings[15, 0] == 1
        with pytest.raises(LayoutError, match="between -8192 steps and 8191 steps"):
            source.level = 9000


@pytest.mark.parametrize("batch", [None, 5])
def test_interrupt_ends_the_wait_for_a_trigger(board, batch):
    board.fires = False
    with source_of(board, batch=batch) as source:
        with Waiting(source) as waiting:
            assert board.asked.wait(PATIENCE)
            source.interrupt()
        assert isinstance(waiting.error, EndOfDataError)


def test_it_is_reset_when_it_is_closed_and_may_be_opened_again(board):
    with source_of(board) as source:
        acquired(source)
    with source:  # the server has read everything of the first connection
        acquired(source)
        assert board.commands.count(2) == 3


def test_a_board_that_goes_in_the_middle(board):
    board.breaks_after = 1000
    with pytest.raises(ResourceError, match="closed the connection after 1000 of 4000 bytes"):
        with source_of(board) as source:
            acquired(source)


def test_a_board_that_says_nothing():
    def listen(link):
        while link.recv(1 << 20):
            pass

    with serving(listen) as port:
        with pytest.raises(WaitTimeoutError, match="sent 0 of 36 bytes and no more"):
            with RedPitaya("127.0.0.1", port=port, timeout=0.05) as source:
                acquired(source)


def test_no_board_there():
    with serving(lambda link: None) as port:
        pass
    with pytest.raises(ResourceError, match="connecting failed"):
        RedPitaya("127.0.0.1", port=port).open()


def test_one_user_at_a_time(board):
    with source_of(board):
        with pytest.raises(BusyError):
            source_of(board).open()


@pytest.mark.parametrize(
    ("trigger", "wrong"),
    [
        (Trigger(0, "both"), {}),
        (Trigger(0, channel="IN3"), {}),
        (Trigger(0, width=2), {}),
        (Trigger(0.5), {}),
        (Trigger(9000), {}),
        (None, {"samples": 0}),
        (None, {"pretrigger": 2}),
        (None, {"decimation": 2}),
        (None, {"batch": 0}),
        (None, {"timeout": 0}),
    ],
)
def test_settings_that_are_not_possible(trigger, wrong):
    with pytest.raises(LayoutError):
        RedPitaya("x", trigger, **wrong)
