"""Stop stops, whatever the run is doing, again and again, and nothing is left."""

import gc
import threading
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from labdaq.native import mapping
from labdaq.pipeline import Pipeline
from tests.pipeline.making import LONG_S, Numbers, chain

ENDINGS = ("stop", "abort")


def blocked(let_go):
    """A source that waits in a read, and can be made to return."""

    class Blocked:
        dtype, shape = np.dtype("f8"), (4,)

        def acquire(self, event):
            let_go.wait(LONG_S)
            event.data[...] = 0.0

        def interrupt(self):
            let_go.set()

    return Blocked()


def ended_s(daq, ending):
    """Seconds from the command until the intake, or after abort everything, has ended."""
    begin = time.monotonic()
    getattr(daq, ending)()
    if ending == "stop":
        run = daq.current
        while run is not None and not run.is_over and any(m.host.is_alive for m in run.crew.sources):
            time.sleep(0.001)
        return time.monotonic() - begin
    daq.wait(LONG_S)
    return time.monotonic() - begin


def situation(name, daq):
    """A pipeline in one of the situations in which it may be stopped, started."""
    let_go = threading.Event()
    source = blocked(let_go) if name == "blocked" else Numbers()

    def slow(event):
        if name == "full":
            time.sleep(0.02)
        return True

    seen = chain(daq, slow, capacity=16, source=source)
    daq.start(drain_timeout_s=5.0)
    if name not in {"starting", "blocked"}:
        assert seen.changed.wait(LONG_S)
    if name == "paused":
        daq.pause()
    if name == "draining":
        daq.stop()
    return let_go


@pytest.mark.promise(
    "P3", "stop and abort of a run that starts, flows, is paused, is full, drains, or waits for its source"
)
def test_every_situation_ends_at_once(often, in_earnest, saw):
    times = []
    for _ in range(often(1, 40)):
        for name in ("starting", "flowing", "paused", "full", "draining", "blocked"):
            for ending in ENDINGS:
                if (name, ending) == ("draining", "stop"):
                    continue
                with Pipeline("ending", store=None) as daq:
                    situation(name, daq)
                    times.append(ended_s(daq, ending))
                    assert daq.wait(LONG_S).ledger.is_closed
    slowest = float(np.quantile(times, 0.99))
    saw(f"{len(times)} endings, 99 of 100 within {slowest:.2f} s")
    assert slowest <= (1.0 if in_earnest else LONG_S)


def held():
    """What a leak would make more of."""
    gc.collect()
    process = psutil.Process()
    return {
        "threads": threading.active_count(),
        "files": process.num_fds() if hasattr(process, "num_fds") else 0,
        "shared memory": len(list(Path(mapping.folder()).iterdir())),
        "processes": len(process.children()),
    }


@pytest.mark.promise("P3", "start and stop, again and again, of one pipeline and of new ones, leave nothing behind")
def test_cycles_leave_nothing(often, saw):
    cycles = often(20, 10_000)
    with Pipeline("again", store=None) as daq:
        seen = chain(daq, lambda event: True, capacity=16)
        for number in range(-2, cycles // 2):
            if number == 0:
                before = held()
            seen.changed.clear()
            daq.start()
            assert seen.changed.wait(LONG_S)
            daq.stop() if number % 2 else daq.abort()
            assert daq.wait(LONG_S).ledger.is_closed
        assert held() == before
    for number in range(-2, cycles - cycles // 2):
        if number == 0:
            before = held()
        with Pipeline("new", store=None) as daq:
            seen = chain(daq, lambda event: True, capacity=16)
            daq.start()
            assert seen.changed.wait(LONG_S)
    assert held() == before
    saw(f"{cycles} cycles, and as many threads, files, processes and pieces of shared memory as before")
