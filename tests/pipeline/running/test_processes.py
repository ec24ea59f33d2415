"""Workers in processes: killed at any moment, started and ended in every way, with nothing lost or done twice."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from labdaq.errors import LayoutError
from labdaq.pipeline import Pipeline, RunState
from labdaq.roles import Parameter
from tests.pipeline.making import LONG_S, Numbers, Seen, chain


def wait_until(condition, what: str) -> None:
    deadline = time.monotonic() + LONG_S
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not happen"
        time.sleep(0.002)


def workers_of(daq: Pipeline, node: str) -> list[int]:
    return [member.row.get(1) for member in daq._run.crew.members[node] if not member.has_ended and member.is_ready]


@pytest.mark.promise("P1", "filters of two stages are killed at random; each event comes once, and the ledger closes")
@pytest.mark.timeout(1000)
def test_killed_filters_lose_nothing_and_do_nothing_twice(often, saw):
    events, kills = often(3000, 60_000), often(4, 40)
    patience_s = often(100, 1000)

    def slowly(event):
        time.sleep(1e-4)
        return [event.data.copy(), event.data + 0.5] if event.counter % 3 else False

    def second(event):
        return True

    with Pipeline("kills", store=None) as daq:
        raw, found, kept = (daq.ring(name, "f8", (4,), 256) for name in ("raw", "found", "kept"))
        daq.source(Numbers(), raw, name="source")
        daq.filter(slowly, raw, found, name="find", workers=2, run_in="processes", max_restarts=kills + 10)
        daq.filter(second, found, kept, name="again", run_in="processes", max_restarts=kills + 10)
        seen = daq.sink(Seen(), kept)
        run = daq.start(events=events, drain_timeout_s=patience_s)
        killed = set()
        rng = np.random.default_rng(7)
        while len(killed) < kills and not run.is_over:
            alive = [pid for node in ("find", "again") for pid in workers_of(daq, node) if pid not in killed]
            if alive and seen.changed.is_set():
                pid = int(rng.choice(alive))
                os.kill(pid, signal.SIGKILL)
                killed.add(pid)
                seen.changed.clear()
            time.sleep(rng.uniform(0, 0.05))
        result = daq.wait(patience_s)
    wanted = [c + part for c in range(events) if c % 3 for part in (0.0, 0.5)]
    assert sorted(seen.values) == wanted
    assert result.state == RunState.ENDED, str(result)
    assert result.ledger.is_closed, str(result)
    assert result.events == events
    assert result.restarts == len(killed)
    saw(f"{len(killed)} kills in {events} events, none lost, none twice")


def test_a_worker_that_dies_before_it_begins_fails_the_run_and_closes_the_ledger():
    class Deadly:
        def __call__(self, event):
            return True

        def __reduce__(self):
            return os._exit, (3,)

    with Pipeline("stillborn", store=None) as daq:
        seen = chain(daq, Deadly(), run_in="processes", max_restarts=0)
        result = daq.run(events=100)
    assert result.state == RunState.FAILED
    assert "was killed (exit code 3)" in result.reason
    assert result.ledger.is_closed
    assert seen.counters == []


def test_functions_of_a_notebook_closures_and_changed_parameters_go_to_processes():
    level = Parameter(2.0, low=0, high=1e9)
    offset = 100.0

    def find(event):
        return event.data + offset if event.data[0] >= level else None

    def forever():
        number = 0
        while True:
            yield np.full(4, float(number))
            number += 1

    with Pipeline("notebook", store=None) as daq:
        seen = chain(daq, find, source=forever, run_in="processes")
        run = daq.start()
        level.set(1e6)  # before the process is there
        with pytest.raises(LayoutError, match="between 0"):
            level.set(-1)
        wait_until(lambda: run.parameters, "the change")
        node, name, value, counter = run.parameters[0]
        assert (node, name, value) == ("find", "level", 1e6)
        daq.stop()
        result = daq.wait()
        assert level.value == 1e6
        assert seen.values == [c + 100.0 for c in range(2, counter)]
        assert result.ledger.is_closed
        assert result.ledger["find"].accepted == len(seen.values)


def test_a_source_process_that_hangs_is_ended_and_the_rest_drains(tmp_path):
    class Hanging:
        def __init__(self, path: str) -> None:
            self.given, self.path = 0, path

        def acquire(self, event) -> None:
            if self.given == 5:
                Path(self.path).touch()
                time.sleep(1000)
            event.data[:] = self.given
            self.given += 1

    with Pipeline("hanging", store=None) as daq:
        raw = daq.ring("raw", "f8", (4,), 16)
        daq.source(Hanging(str(tmp_path / "hangs")), raw, run_in="processes", name="source")
        seen = daq.sink(Seen(), raw)
        daq.start()
        wait_until((tmp_path / "hangs").exists, "hanging")
        daq.stop()
        result = daq.wait(LONG_S)
    assert seen.counters == list(range(5))
    assert result.state == RunState.ENDED
    assert result.ledger.is_closed
    assert "did not return" in result.errors[0]


def test_what_cannot_go_to_a_process_is_named_and_the_pipeline_goes_on():
    lock = threading.Lock()

    def find(event):
        return lock is not None

    with Pipeline("unpicklable", store=None) as daq:
        chain(daq, find, run_in="processes")
        with pytest.raises(LayoutError, match="filter 'find' cannot go to another process"):
            daq.run(events=1)
        assert daq.state == RunState.IDLE


PARENT = """
import time
from pathlib import Path
from labdaq.pipeline import Pipeline

class Slow:
    def acquire(self, event):
        time.sleep(0.01)
        event.data[:] = 1
    def close(self):
        Path(PATH).write_text("safe")

PATH = {path!r}

def find(event):
    return True

with Pipeline("orphans", store=None) as daq:
    raw, found = daq.ring("raw", "f8", (4,), 16), daq.ring("found", "f8", (4,), 16)
    daq.source(Slow(), raw, run_in="processes")
    daq.filter(find, raw, found, run_in="processes")
    daq.sink(lambda event: print("event", flush=True), found)
    {end}
"""


def started(code: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
        start_new_session=True,
    )


def test_workers_end_when_who_wanted_their_work_was_killed(tmp_path):
    with started(PARENT.format(path=str(tmp_path / "safe"), end="daq.run()")) as parent:
        assert parent.stdout.readline() == "event\n"
        children = psutil.Process(parent.pid).children()
        assert len(children) == 2
        parent.kill()
        assert psutil.wait_procs(children, timeout=LONG_S)[1] == []
    assert (tmp_path / "safe").read_text() == "safe"


def test_ctrl_c_in_a_terminal_drains_although_it_reaches_the_workers_too(tmp_path):
    code = PARENT.format(path=str(tmp_path / "safe"), end="print(daq.run())")
    with started(code) as parent:
        assert parent.stdout.readline() == "event\n"
        os.killpg(parent.pid, signal.SIGINT)
        told, errors = parent.communicate(timeout=LONG_S)
    assert parent.returncode == 0, errors
    assert "ended, interrupted" in told
    assert "error" not in told
    assert errors == ""


def test_a_second_ctrl_c_aborts():
    code = """
    import threading
    from labdaq.pipeline import Pipeline

    class Endless:
        def acquire(self, event):
            event.data[:] = 1

    def stuck(event):
        print("event", flush=True)
        threading.Event().wait()

    with Pipeline("twice", store=None) as daq:
        raw = daq.ring("raw", "f8", (4,), 16)
        daq.source(Endless(), raw)
        daq.sink(stuck, raw, name="stuck")
        print(daq.run(drain_timeout_s=1000))
    """
    with started(code) as parent:
        assert parent.stdout.readline() == "event\n"
        parent.send_signal(signal.SIGINT)
        deadline = time.monotonic() + LONG_S
        while parent.poll() is None and time.monotonic() < deadline:
            time.sleep(0.3)  # two at once count as one
            parent.send_signal(signal.SIGINT)
        told, errors = parent.communicate(timeout=LONG_S)
    assert "failed, interrupted; interrupted" in told, errors
    assert "did not return: stuck-1" in told


def test_an_event_that_kills_its_workers_is_set_apart(tmp_path):
    def deadly(event):
        if event.counter == 5:
            os._exit(3)
        return True

    with Pipeline("deadly", store=tmp_path) as daq:
        raw, out = (daq.ring(name, "f8", capacity=16) for name in ("raw", "out"))
        daq.source(lambda: (np.float64(n) for n in range(30)), raw, name="numbers")
        daq.filter(deadly, raw, out, name="deadly", run_in="processes")
        kept = Seen()
        daq.sink(kept, out, name="kept")
        result = daq.run(drain_timeout_s=LONG_S)
    assert (result.state, result.restarts) == (RunState.ENDED, 2)
    assert sorted(kept.counters) == [n for n in range(30) if n != 5]
    assert result.ledger.is_closed
    assert result.ledger["deadly"].quarantined == 1
    assert "killed 2 workers" in result.errors[0]
    assert list((result.folder / "quarantine").iterdir())
