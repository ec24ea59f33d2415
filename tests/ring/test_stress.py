"""Many writers, groups and observers at once: every frame reaches every group exactly once, and whole."""

import multiprocessing as mp
import time
from multiprocessing.shared_memory import SharedMemory

import numpy as np
import pytest

from labdaq import Ring
from labdaq.errors import LabdaqError
from labdaq.testing import run_threads
from labdaq.testing.loops import BAD, READ, check_numbers, write_numbers

WRITERS, FRAMES, CAPACITY = 3, 400_000, 256
TOTAL = WRITERS * FRAMES
MEMBERS = ("two", "two", "one")  # groups: one of two members, one of one


def write(ring: Ring) -> None:
    with ring.writer() as writer:
        assert write_numbers(writer._address, FRAMES, 8) == FRAMES


def read(ring: Ring, group: str, scores: np.ndarray) -> None:
    """Count into the scores: one word per frame, then the frames read and those that were wrong."""
    with ring.reader(group) as reader:
        base = scores.ctypes.data
        check_numbers(reader._address, 8, base, base + 8 * TOTAL)


def observe(ring: Ring) -> tuple[int, int]:
    """What an observer saw, and missed; nothing it was handed may be torn."""
    seen = 0
    with ring.observer() as observer:
        for event in observer:
            assert int(event.data) == event.index
            seen += 1
        return seen, observer.missed + observer.skipped + observer.overwritten


def assert_exactly_once(scores: np.ndarray) -> None:
    assert (scores[:TOTAL] == 2).all()
    assert scores[TOTAL + READ // 8] == 2 * TOTAL
    assert scores[TOTAL + BAD // 8] == 0


def test_threads() -> None:
    scores = np.zeros(TOTAL + 2, np.int64)
    observed = []
    with Ring(dtype="i8", capacity=CAPACITY) as ring:
        groups = [ring.group(name) for name in set(MEMBERS)]

        def write_all() -> None:
            run_threads(*[lambda: write(ring)] * WRITERS, timeout=100)
            ring.end()

        reads = [lambda name=name: read(ring, name, scores) for name in MEMBERS]
        run_threads(write_all, *reads, lambda: observed.append(observe(ring)), timeout=110)
        statistics = ring.statistics()
        assert len(groups) == len(statistics.groups)
    assert_exactly_once(scores)
    assert statistics.frames_written == TOTAL
    assert sum(observed[0]) == TOTAL


def in_child(ring: Ring, group: str, name: str) -> None:
    if not group:
        write(ring)
        return
    memory = SharedMemory(name)
    scores = np.frombuffer(memory.buf, np.int64)
    read(ring, group, scores)
    del scores
    memory.close()


@pytest.mark.filterwarnings("ignore:.*leaked shared_memory.*")
def test_processes() -> None:
    memory = SharedMemory(create=True, size=8 * (TOTAL + 2))
    scores = np.frombuffer(memory.buf, np.int64)
    scores[:] = 0
    context = mp.get_context("spawn")
    with Ring(space="shared", dtype="i8", capacity=CAPACITY) as ring:
        for name in set(MEMBERS):
            ring.group(name)
        roles = [*MEMBERS, *[""] * WRITERS]
        children = [context.Process(target=in_child, args=(ring, role, memory.name)) for role in roles]
        for child in children:
            child.start()
        for child in children[len(MEMBERS) :]:
            child.join()
        ring.end()
        for child in children:
            child.join()
            assert child.exitcode == 0
    counted = scores.copy()
    del scores
    memory.close()
    memory.unlink()
    assert_exactly_once(counted)


def test_interpreter_exit_with_everything_running_is_prompt_and_clean() -> None:
    import subprocess
    import sys

    program = (
        "import threading, labdaq\n"
        "ring = labdaq.Ring(space='shared', dtype='i8', capacity=64)\n"
        "from labdaq.testing.loops import write_numbers\n"
        "ring.group('nobody')\n"
        "running = threading.Event()\n"
        "def write():\n"
        "    with ring.writer() as writer:\n"
        "        running.set()\n"
        "        while True: write_numbers(writer._address, 1 << 40, 8)\n"
        "def observe():\n"
        "    for event in ring.observer(): pass\n"
        "for work in (write, write, observe): threading.Thread(target=work, daemon=True).start()\n"
        "running.wait(); print(ring._core.token)\n"
    )
    started = time.monotonic()
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert time.monotonic() - started < 30
    with pytest.raises(LabdaqError):
        Ring._attach("shared", done.stdout.strip(), "gone")
