"""Processes are killed, and the others neither stall nor lose nor see anything wrong."""

import gc
import os
import subprocess
import sys
from ast import literal_eval
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from labdaq import Ring

Say = Callable[[str], None]
ROUND_S = 60.0
"""So long a ring is used; then comes another one, with other random numbers."""
VICTIMS = Path(__file__).parent / "victims.py"


def run(*command: object, timeout: float, **environment: str) -> str:
    """Run Python in a process of its own: killing needs forks, and forks need a process without threads."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", *map(str, command)],
        capture_output=True,
        text=True,
        timeout=timeout,
        env={**os.environ, **environment},
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.promise("P2", "a user of a ring is killed at each transition of the engine in turn")
def test_killed_at_every_single_transition(saw: Say) -> None:
    output = run(str(VICTIMS), timeout=110, LABDAQ_FAULTS="1")
    scenarios = dict(line.split() for line in output.splitlines())
    assert set(scenarios) == {"writing", "reading", "sequences", "holding", "resizing"}
    saw(", ".join(f"{name} {count}" for name, count in scenarios.items()) + " transitions")


@pytest.mark.promise("P2", "writers and readers of rings are killed at random; nothing is lost, torn or hung")
def test_killed_at_random_nothing_is_lost_torn_or_hung(often: Callable[[float, float], float], saw: Say) -> None:
    seconds, seen = often(10.0, 120.0), Counter[str]()
    for seed in range(max(1, round(seconds / ROUND_S))):
        output = run("-m", "labdaq.testing.faults", "--seconds", min(seconds, ROUND_S), "--seed", seed, timeout=120)
        report = literal_eval(output)
        assert (report["lost"], report["torn"], report["hung"]) == (0, 0, 0), report
        seen.update(report)
    assert seen["kills"] > 5 * seconds
    assert seen["frames"] > 1000 * seconds
    saw(f"{seen['kills']} kills, {seen['frames']} frames, {seen['redelivered']} delivered again, 0 lost or torn")


def test_readers_end_when_the_writer_of_sequences_is_gone() -> None:
    with Ring() as ring:
        ring.resize(8, 64)
        writer = ring.begin_writing()
        sequence = writer.begin_sequence("cut")
        for _ in range(2):
            with sequence.reserve(4) as span:
                span.data[...] = 7
        sequence.reserve(4)
        del writer, sequence, span
        gc.collect()  # the writer is forgotten, not closed
        found = [(s.name, [int(x.data[0]) for x in s.read(4)], s.truncated) for s in ring.read()]
        assert found == [("cut", [7, 7], True)]
        assert ring.statistics().truncated == 1
