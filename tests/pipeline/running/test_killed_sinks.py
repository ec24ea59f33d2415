"""A function that keeps events in a process: what it gets when that process is killed."""

import os
import signal
import time
from pathlib import Path

from labdaq.pipeline import Pipeline, RunState
from tests.pipeline.making import LONG_S, values


def test_the_event_at_hand_comes_once_more_and_says_so(tmp_path):
    """Nobody knows how far the dead had come with it: it is given again, marked, and all others come once."""
    path, waits = str(tmp_path / "seen"), str(tmp_path / "waits")

    def keep(event):
        with Path(path).open("a") as file:
            file.write(f"{event.counter} {int(event.redelivered)}\n")
        if event.counter == 7 and not event.redelivered:
            Path(waits).touch()
            time.sleep(1000)

    with Pipeline("sinks", store=None) as daq:
        raw = daq.ring("raw", "f8", (4,), 64)
        daq.source(values(30), raw, name="source")
        daq.sink(keep, raw, name="keep", run_in="processes")
        run = daq.start(drain_timeout_s=LONG_S)
        until = time.monotonic() + LONG_S
        while not Path(waits).exists():
            assert time.monotonic() < until
            time.sleep(0.002)
        os.kill(run.crew.members["keep"][0].row.get(1), signal.SIGKILL)
        result = daq.wait(LONG_S)
    assert (result.state, result.restarts) == (RunState.ENDED, 1)
    assert result.ledger.is_closed
    assert result.ledger["keep"].accepted == 30
    lines = [tuple(map(int, line.split())) for line in Path(path).read_text().splitlines()]
    twice = [counter for counter, redelivered in lines if redelivered]
    assert 7 in twice  # and perhaps some that the dead had claimed together with it
    assert [counter for counter, redelivered in lines if not redelivered and counter not in twice] == [
        counter for counter in range(30) if counter not in twice
    ]
    assert {counter for counter, _ in lines} == set(range(30))
    assert all(sum(counter == one for counter, _ in lines) <= 2 for one in range(30))
