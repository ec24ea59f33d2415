"""The buffers and workers of a suite: set up, started, led to their end, and cleaned up.

Data end from the source on: when all who write a buffer have ended, its readers end after its last event. A filter
whose process is killed gets another one, which takes over what it had at hand. A function without any process left
holds nobody back: what comes for it is counted as left behind, so whoever dies, the others come to their end.
"""

import logging
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from labdaq.compat.mimocorb.crew import Worker, dismiss, wait_for_news
from labdaq.compat.mimocorb.grouping import Group, reader_groups
from labdaq.compat.mimocorb.hiring import Hiring, is_replaceable
from labdaq.compat.mimocorb.leftovers import Leftovers
from labdaq.compat.mimocorb.mimo_buffer import NewBuffer
from labdaq.compat.mimocorb.patience import Patience
from labdaq.compat.mimocorb.suite import Suite, describe
from labdaq.compat.mimocorb.wiring import rings_of, teams_of
from labdaq.compat.mimocorb.worker import ENDED, FAILED, READY
from labdaq.errors import StateError
from labdaq.pipeline.declared import DeclaredRing
from labdaq.pipeline.workers.board import Board
from labdaq.ring import warm

__all__ = ["buffer_control"]

_WITH_DATA_S, _HURRIED_S = 30.0, 0.2

logger = logging.getLogger("labdaq.compat.mimocorb")


class buffer_control:  # noqa: N801
    """Buffers and worker processes of a suite.

    Parameters
    ----------
    buffers_dict, functions_dict, function_config_dict
        ``RingBuffer``, ``Functions`` and ``FunctionConfigs`` of v1's YAML.
    output_directory
        The folder of the run.
    suite
        The description of a suite, instead of these three.
    rings
        What stands for its buffers from run to run, from :func:`labdaq.compat.mimocorb.wiring.rings_of`.
    board
        Where to keep what becomes of the events of each worker, with as many rows as :func:`hiring.rows_of` says;
        nowhere by default.

    Raises
    ------
    LayoutError
        When something in them is not possible.

    Attributes
    ----------
    ringbuffers : dict of str to NewBuffer
    process_list : list of Worker
    teams : list of Team
        Who reads the same events.
    restarts : int
        Processes that were killed and replaced.
    is_hurried : bool
        Set it, and nobody waits for what is in the buffers any more.
    on_poll, on_end : list
        Functions that are called with each :meth:`poll`, and at the end of :meth:`shutdown`, before the buffers are
        removed.
    status : str
        ``Initialized``, ``BuffersSet``, ``WorkersSet``, ``Running``, ``Paused``, ``Stopped`` or ``Shutdown``.
    counts : dict of str to int
        Events that came into each buffer, after the end.
    events_read, left_behind : dict of tuple of str to int
        Events that were read to their end, and those that were not, by buffer and function, after the end. Names
        of functions that share the events of a buffer are joined by a comma.
    discarded : dict of str to int
        Events that sources had while nobody wanted them: in a pause, or at the end; after the end.
    """

    def __init__(
        self,
        buffers_dict: list[Any] | None = None,
        functions_dict: list[Any] | None = None,
        function_config_dict: Mapping[str, Any] | None = None,
        output_directory: str | Path = "target",
        *,
        suite: Suite | None = None,
        rings: Mapping[str, DeclaredRing] | None = None,
        board: Board | None = None,
    ) -> None:
        content = {
            "RingBuffer": buffers_dict,
            "Functions": functions_dict,
            "FunctionConfigs": function_config_dict or {},
        }
        self.suite = suite or describe(content, Path("setup.yaml").absolute())
        self.out_dir = str(output_directory)
        self.runtime, self.runevents = self.suite.runtime, self.suite.runevents
        self.ringbuffers: dict[str, NewBuffer] = {}
        self.process_list: list[Worker] = []
        self.status = "Initialized"
        self.counts: dict[str, int] = {}
        self.discarded: dict[str, int] = {}
        self.rings = rings or rings_of(self.suite)
        self.teams = teams_of(self.suite, self.rings)
        self.board = board
        self.restarts = 0
        self.is_hurried = False
        self.on_poll: list[Callable[[], None]] = []
        self.on_end: list[Callable[[], None]] = []
        self._groups: list[Group] = []
        self._hiring: Hiring | None = None
        self._leftovers = Leftovers()
        self.events_read, self.left_behind = self._leftovers.events_read, self._leftovers.left_behind
        self._finished: set[str] = set()
        self._taking_since: float | None = None
        self._taken_s = 0.0

    # ------------------------------------------------------------------------------------ set up

    @property
    def ringbuffer_names(self) -> list[str]:
        """Names of the buffers."""
        return [buffer.name for buffer in self.suite.buffers]

    def setup_buffers(self) -> dict[str, NewBuffer]:
        """Make the buffers."""
        for one in self.suite.buffers:
            self.ringbuffers[one.name] = NewBuffer(one.slots, one.values, one.dtype())
            self.rings[one.name].adopt(self.ringbuffers[one.name].ring)
        for name in self.suite.roots()[:1]:
            self.ringbuffers[name].limit_events(self.runevents)
        self.status = "BuffersSet"
        return self.ringbuffers

    def setup_workers(self) -> None:
        """Make what the workers need to begin."""
        self._check_status("BuffersSet")
        self._groups = reader_groups(self.teams, self.ringbuffers)
        folder = Path(self.out_dir).absolute()
        self._hiring = Hiring(self.suite, self.teams, self.ringbuffers, self._groups, folder, self.board)
        self.process_list += self._hiring.everyone()
        self.status = "WorkersSet"

    def start_workers(self, *, hold: bool = False) -> list[Worker]:
        """Start all processes.

        Parameters
        ----------
        hold
            Let sources wait until all are ready, and :meth:`poll` has seen it.
        """
        self._check_status("WorkersSet")
        warm()  # once, and not in each of them while the others wait at a buffer
        for buffer in self._root_buffers() if hold else ():
            (buffer.hold if self.suite.shares_events else buffer.pause)()
        self.process_list.reverse()  # those who read first: their start takes a while
        for worker in self.process_list:
            worker.start()
        self.status = "Running"
        if not hold:
            self._take()
        return self.process_list

    def _check_status(self, wanted: str) -> None:
        if self.status != wanted:
            raise StateError(f"this is possible when the status is {wanted!r}; it is {self.status!r}")

    # -------------------------------------------------------------------------------------- lead

    def poll(self, timeout: float = 0.05) -> None:
        """Wait up to ``timeout`` seconds for news of the workers, and act on them."""
        wait_for_news(self.process_list, timeout)
        for worker in list(self.process_list):
            worker.look()
            if worker.was_killed and is_replaceable(worker.function):
                self._replace(worker)
        if self._taking_since is None and self.status == "Running" and self._are_ready():
            self._take()
        for name, buffer in self.ringbuffers.items():
            if name not in self._finished and self._nobody_writes(name):
                self._finished.add(name)
                buffer.finish()
        self._let_go()
        for act in self.on_poll:
            act()

    def _replace(self, worker: Worker) -> None:
        """Let another process take the place of one that was killed, and what it had at hand."""
        another = self._hiring.another(worker, self.process_list) if self._hiring is not None else None
        if another is None:
            return
        for buffer in self.ringbuffers.values():
            buffer.statistics()  # looks after the dead
        logger.warning("%s: %s; another one takes its place", worker.name, worker.reason)
        worker.leave_to_another()
        self.restarts += 1
        self.process_list.append(another)
        another.start()

    def _are_ready(self) -> bool:
        return all(worker.state == READY or worker.is_over for worker in self.process_list)

    def _take(self) -> None:
        self._taking_since = time.monotonic()
        for buffer in self._root_buffers():
            buffer.hold(False)
            buffer.resume()

    def _root_buffers(self) -> list[NewBuffer]:
        return [self.ringbuffers[name] for name in self.suite.roots()]

    def _nobody_writes(self, buffer: str) -> bool:
        writers = [worker for worker in self.process_list if buffer in worker.function.buffers("write")]
        return all(worker.writes_no_more(buffer) for worker in writers)

    def _let_go(self) -> None:
        """Nobody waits for functions that have ended: what comes for them is counted until the buffer ends."""
        for group in list(self._groups):
            if all(worker.is_over for worker in self.process_list if worker.function in group.functions):
                self._groups.remove(group)
                self._leftovers.pass_over(group, self.ringbuffers[group.buffer].ring, self.process_list)

    @property
    def active_s(self) -> float:
        """Seconds in which data were taken."""
        since = self._taking_since
        return self._taken_s + (time.monotonic() - since if since is not None else 0.0)

    @property
    def failures(self) -> list[Worker]:
        """Workers that failed."""
        return [worker for worker in self.process_list if worker.state == FAILED]

    @property
    def is_exhausted(self) -> bool:
        """Whether all sources have ended."""
        return all(self._nobody_writes(name) for name in self.suite.roots())

    @property
    def has_enough(self) -> bool:
        """Whether there are as many events as were wanted."""
        first = self.suite.roots()[:1]
        if not first or not self.runevents or self.status == "Shutdown":
            return False
        return self.ringbuffers[first[0]].statistics().frames_written >= self.runevents

    @property
    def is_over(self) -> bool:
        """Whether all who use buffers have ended; others do not know of an end."""
        return all(worker.is_over for worker in self.process_list if worker.function.assign)

    def progress(self) -> tuple[int, ...]:
        """Numbers that change while anything moves."""
        seen = [buffer.statistics() for buffer in self.ringbuffers.values()]
        counts = [number for one in seen for number in (one.frames_written, one.frames_read)]
        states = [worker.state for worker in self.process_list]
        return (states.count(READY), states.count(ENDED), *counts)

    def pause(self) -> None:
        """Take no data for a while."""
        if self.status == "Running":
            for buffer in self._root_buffers():
                buffer.pause()
            self._hold_clock()
            self.status = "Paused"

    def resume(self) -> None:
        """Take data again."""
        if self.status == "Paused":
            self.status = "Running"
            if self._are_ready():
                self._take()

    def stop(self) -> None:
        """Take no more data; what was taken goes to its end."""
        if self.status in {"Running", "Paused"}:
            for buffer in self._root_buffers():
                buffer.set_ending()
            self._hold_clock()
            self.status = "Stopped"

    def _hold_clock(self) -> None:
        self._taken_s, self._taking_since = self.active_s, None

    def drain(self, patience: float = 3.0, limit: float | None = None) -> None:
        """Wait until all data have gone to their end. A source that does not react is told to leave at once.

        Parameters
        ----------
        patience, limit
            Seconds to wait while nothing moves, and in all; see :class:`Patience`. Those who still have data
            are given 30 s at least, if there is no limit.
        """
        waiting = Patience(patience, limit)
        while not (self.is_exhausted or self.is_hurried or waiting.is_over(self.progress(), self._wanted_s())):
            self.poll(0.02)
        for worker in self.process_list:
            sinks = worker.function.buffers("write")
            if not worker.function.buffers("read") and not all(map(worker.writes_no_more, sinks)):
                worker.give_up()
        waiting = Patience(patience if limit is not None else max(patience, _WITH_DATA_S), limit)
        while not (self.is_over or self.is_hurried or waiting.is_over(self.progress(), self._wanted_s())):
            self.poll(0.02)

    def _wanted_s(self) -> float:
        return sum(worker.wanted_s() for worker in self.process_list if not worker.is_over)

    # --------------------------------------------------------------------------------------- end

    def shutdown(self, patience: float = 3.0, limit: float | None = None) -> None:
        """Stop, let data come to their end, end all workers, and remove the buffers. Twice is allowed.

        What was not read is counted in `left_behind`, and told in a warning.

        Parameters
        ----------
        patience, limit
            How long to wait, as in :meth:`drain`.
        """
        if self.status == "Shutdown":
            return
        try:
            self.stop()
            if self.status == "Stopped":
                self.drain(patience, limit)
        finally:
            for worker in self.process_list:
                worker.look()
                if not worker.function.assign:  # it does not know of an end
                    worker.terminate()
            for buffer in self.ringbuffers.values():
                buffer.abort()
            hurried = (_HURRIED_S,) * 3 if self.is_hurried else () if limit is None else (limit, limit)
            dismiss(self.process_list, *hurried)
            self._count_rest()
            try:
                for act in self.on_end:
                    act()
            finally:
                for buffer in self.ringbuffers.values():
                    buffer.close()
                self.status = "Shutdown"

    def _count_rest(self) -> None:
        for buffer in self.ringbuffers.values():
            buffer.finish()  # one who joined late has opened it again
        self._leftovers.settle()
        for group in self._groups:
            self._leftovers.count(group, self.ringbuffers[group.buffer].ring, self.process_list)
        self.counts = {name: buffer.statistics().frames_written for name, buffer in self.ringbuffers.items()}
        self.discarded = {name: buffer.events_discarded for name, buffer in self.ringbuffers.items()}
        self._leftovers.tell()

    # -------------------------------------------------------------------------------------- look

    def display_layout(self) -> str:
        """The buffers, a line for each."""
        return "\n".join(["Buffers", *(f"  {buffer}" for buffer in self.suite.buffers)])

    def display_functions(self) -> str:
        """The functions and their buffers, a line for each."""
        return "\n".join(["Functions", *(f"  {function}" for function in self.suite.functions)])
