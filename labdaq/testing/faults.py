"""Processes that are killed, without a chance to tidy up.

Both injectors fork, so call them from a process that has no threads; ``python -m labdaq.testing.faults``
runs the random one on its own.
"""

import argparse
import mmap
import os
import random
import signal
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labdaq.errors import ClosedError, LabdaqError, WaitTimeoutError
from labdaq.native.faults import FAULTS, arm
from labdaq.ring import Ring, warm

__all__ = ["KillReport", "dies_at", "random_kills"]


def _fork(work: Callable[[], None]) -> int:
    """Run a function in a forked child; its pid."""
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        status = 0
        try:
            work()
        except BaseException:  # noqa: BLE001 - a child must not go on with its parent's program
            status = 1
            traceback.print_exc()
        sys.stderr.flush()
        os._exit(status)
    return pid


def dies_at(transition: int, work: Callable[[], None]) -> bool:
    """Run a function in a child that is killed at its n-th transition of the engine.

    Returns
    -------
    bool
        True when it was killed; False when it ended before.

    Raises
    ------
    RuntimeError
        When the function raised; or when this process was not started with ``LABDAQ_FAULTS`` set, which
        compiles the points into the engine at which it can die.
    """
    if not FAULTS:
        raise RuntimeError("start this process with the variable LABDAQ_FAULTS set: its engine cannot be made to die")

    def armed() -> None:
        arm(transition)
        work()

    _pid, status = os.waitpid(_fork(armed), 0)
    if os.WIFSIGNALED(status):
        return os.WTERMSIG(status) == signal.SIGKILL
    if os.WEXITSTATUS(status):
        raise RuntimeError(f"the victim raised at transition {transition}: see its traceback above")
    return False


@dataclass(frozen=True)
class KillReport:
    """What was found after random kills. All is well when `lost`, `torn` and `hung` are 0."""

    kills: int
    frames: int
    """Frames claimed by writers."""
    lost: int
    """Frames that were filled and committed, and that no reader saw."""
    torn: int
    """Frames whose content was not that of their index."""
    hung: int
    """Seconds in which nothing moved although a writer and a reader were alive."""
    voided: int
    redelivered: int
    """Frames that a dead reader held, and that another one got."""
    repeated: int
    """Those of them which the dead one had seen: at least once, instead of exactly once."""


_FRAMES = 20_000_000
_TORN = 0  # word of the score board


def random_kills(
    seconds: float, *, seed: int = 0, writers: int = 2, readers: int = 2, capacity: int = 256
) -> KillReport:
    """Kill writers and readers of a shared ring at random, replace them, and count what was lost.

    Every frame is filled with its own index. Readers mark what they saw before they release it.

    Parameters
    ----------
    seconds
        How long.
    seed
        Of the random numbers that say who dies when.
    """
    choice = random.Random(seed)  # noqa: S311 - says who dies, and can be repeated
    warm()  # else each child would spend its short life on loading machine code
    seen = np.frombuffer(mmap.mmap(-1, _FRAMES), np.uint8)
    score = np.frombuffer(mmap.mmap(-1, mmap.PAGESIZE), np.int64)
    with Ring(space="shared", dtype="i8", shape=(16,), capacity=capacity) as ring:
        group = ring.group("all")
        works = [lambda: _write(ring)] * writers + [lambda: _read(ring, seen, score)] * readers
        pids = [_fork(work) for work in works]
        try:
            kills, hung = _kill(choice, seconds, ring, works, pids)
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
        _finish(ring, seen, score)
        statistics = ring.statistics()
        frames = statistics.frames_written + statistics.voided
        del group
    unseen = int((seen[: min(frames, _FRAMES)] == 0).sum())
    return KillReport(
        kills=kills,
        frames=frames,
        lost=unseen - statistics.voided,
        torn=int(score[_TORN]),
        hung=hung,
        voided=statistics.voided,
        redelivered=statistics.redelivered,
        repeated=int((seen[: min(frames, _FRAMES)] > 1).sum()),
    )


def _kill(
    choice: random.Random, seconds: float, ring: Ring, works: list[Callable[[], None]], pids: list[int]
) -> tuple[int, int]:
    kills = hung = 0
    end = time.monotonic() + seconds
    moved, moved_at = -1, time.monotonic()
    while time.monotonic() < end:
        time.sleep(choice.uniform(0.002, 0.03))
        victim = choice.randrange(len(pids))
        os.kill(pids[victim], signal.SIGKILL)
        os.waitpid(pids[victim], 0)
        pids[victim] = _fork(works[victim])
        kills += 1
        read = ring.statistics().frames_read
        if read != moved:
            moved, moved_at = read, time.monotonic()
        elif time.monotonic() - moved_at > 2.0:
            hung += 1
            moved_at = time.monotonic()
    return kills, hung


def _write(ring: Ring) -> None:
    size = 0
    with ring.writer() as writer:
        while True:
            size = size % 8 + 1
            try:
                with writer.reserve(size, timeout=1.0) as span:
                    span.data[...] = np.arange(span.index, span.index + size)[:, None]
            except WaitTimeoutError:
                continue


def _read(ring: Ring, seen: NDArray[Any], score: NDArray[Any]) -> None:
    try:
        for span in ring.reader("all").spans(8):
            numbers = np.arange(span.index, span.index + span.nframe)
            score[_TORN] += int((span.data != numbers[:, None]).any(axis=1).sum())
            seen[numbers[numbers < _FRAMES]] += 1
    except ClosedError:
        return


def _finish(ring: Ring, seen: NDArray[Any], score: NDArray[Any]) -> None:
    """Read what is left, the claims of the dead included."""
    ring.end()
    _read(ring, seen, score)


def main() -> int:
    """Kill for some time and print what was found; 1 when anything was lost, torn, or hung."""
    parser = argparse.ArgumentParser(description=random_kills.__doc__)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    try:
        report = random_kills(arguments.seconds, seed=arguments.seed)
    except LabdaqError as error:
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        return 2
    sys.stdout.write(f"{asdict(report)}\n")
    return 1 if report.lost or report.torn or report.hung else 0


if __name__ == "__main__":
    sys.exit(main())
