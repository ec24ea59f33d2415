"""The board: numbers that survive whoever wrote them."""

import itertools
import threading

import pytest

from labdaq.errors import DataError, ResourceError
from labdaq.pipeline.workers import board as b
from labdaq.pipeline.workers.board import Board


def test_who_opens_it_sees_and_changes_the_same_numbers(tmp_path):
    board = Board.create(tmp_path / "board", 3, 1)
    other = Board.open(tmp_path / "board")
    other.row(2).put(b.W_PID, 17)
    other.table(0)[5] = 23
    assert board.row(2).get(b.W_PID) == 17
    assert board.table(0)[5] == 23
    assert len(list(board.rows())) == 3


def test_events_are_taken_up_to_the_limit_and_no_further(tmp_path):
    board = Board.create(tmp_path / "board", 1)
    board.words[b.LIMIT] = 10
    assert board.take(4) == (0, 4)
    assert board.left == 6
    assert board.give_back(3, 1)
    assert board.take(9) == (3, 7)
    assert (board.left, board.taken) == (0, 10)
    assert board.take()[1] == 0
    assert not board.give_back(3, 1)


def test_threads_that_take_at_once_never_get_the_same_number(tmp_path):
    board = Board.create(tmp_path / "board", 1)
    board.words[b.LIMIT] = 5000
    got: list[list[int]] = [[] for _ in range(4)]

    def take(mine):
        while board.left:
            first, wanted = board.take(3)
            mine += range(first, first + wanted)

    threads = [threading.Thread(target=take, args=(mine,)) for mine in got]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(itertools.chain(*got)) == list(range(5000))


def test_what_was_noted_of_a_claim_counts_when_it_is_released_or_is_struck_out(tmp_path):
    row = Board.create(tmp_path / "board", 2).row(1)
    row.settle(0)
    row.count(b.ACCEPTED, 3)
    assert not row.strike_out(64)
    assert row.counts()["accepted"] == 3
    assert row.strike_out(0)
    assert row.counts()["accepted"] == 0
    row.settle(64)
    row.count(b.REJECTED, 2)
    row.settle()
    assert not row.strike_out(64)
    assert row.counts() == {"accepted": 0, "rejected": 2, "quarantined": 0, "repeated": 0, "discarded": 0}


def test_after_its_end_it_says_what_it_said_and_those_who_come_late_harm_nobody(tmp_path):
    board = Board.create(tmp_path / "board", 1)
    board.words[b.LIMIT] = 2
    late = board.row(0)
    late.put(b.W_STATE, b.WORKING)
    board.take()
    board.close()
    late.put(b.W_STATE, b.DONE)
    assert (board.taken, board.left) == (1, 1)
    assert board.row(0).state == "working"


def test_what_is_no_board_is_refused(tmp_path):
    with pytest.raises(ResourceError, match="making the board of the run failed"):
        Board.open(tmp_path / "nothing")
    (tmp_path / "empty").touch()
    (tmp_path / "zeros").write_bytes(bytes(4096))
    for name in ("empty", "zeros"):
        with pytest.raises(DataError, match="is no board of a run"):
            Board.open(tmp_path / name)
    Board.create(tmp_path / "board", 1)
    with pytest.raises(ResourceError):
        Board.create(tmp_path / "board", 1)
