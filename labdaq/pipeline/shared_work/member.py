"""A member: does a share of a filter's work for a pipeline that runs elsewhere."""

import contextlib
import json
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from labdaq.errors import DataError, EndOfDataError, LabdaqError, LayoutError
from labdaq.pipeline.shared_work.frames import Collected, Kind, event_from, pack_failure, pack_result
from labdaq.pipeline.workers import board as b
from labdaq.pipeline.workers.filtering import work_of
from labdaq.pipeline.workers.trace import is_redelivered
from labdaq.roles import parameters_of
from labdaq.store.redis.work import DEAD_MS, Claimed, WorkMember

__all__ = ["MemberStatistics", "SharedMember", "SignsOfLife"]

_DEADLY = 2
"""So many members may die in the same event before it is set apart."""
_BATCH_S = 0.01
_MOST = 64
_MOST_RECORDS = 1 << 20
_WAIT_S = 0.2


@dataclass(frozen=True)
class MemberStatistics:
    """What a member has done: ``received == accepted + rejected + quarantined + repeated``."""

    received: int = 0
    accepted: int = 0
    rejected: int = 0
    quarantined: int = 0
    """The work raised, or the event had killed others; the pipeline keeps it apart."""
    repeated: int = 0
    """Others were quicker, because this one seemed dead for some seconds: its results were dropped."""
    taken_over: int = 0
    """Of those received: from members that died."""


class SignsOfLife:
    """Says every second that a member lives and is at its jobs; a context manager."""

    def __init__(self, member: WorkMember) -> None:
        self._member = member
        self._ids: tuple[bytes, ...] = ()
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"labdaq-work {member.name}", daemon=True)

    def at(self, ids: Sequence[bytes]) -> None:
        """These are at hand now."""
        self._ids = tuple(ids)

    def _run(self) -> None:
        while not self._is_over.wait(DEAD_MS / 4000):
            with contextlib.suppress(LabdaqError):  # whoever works finds out as well, and says so
                self._member.renew(self._ids)

    def __enter__(self) -> "SignsOfLife":
        self._thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._is_over.set()
        self._thread.join()


class SharedMember:
    """Does a share of the work of one filter; a context manager.

    Parameters
    ----------
    url, name
        The Redis server, and the name under which the pipeline shares the work.
    function
        Of the filter: the same as that of the pipeline.
    timeout
        Seconds to wait for the pipeline to start.

    Raises
    ------
    NotFoundError
        Nobody shares work of this name there.
    LayoutError
        What is shared there is no work of a filter, or the function does not fit.
    ResourceError
        The server cannot be reached, or refuses.
    """

    def __init__(self, url: str, name: str, function: Callable[..., Any], *, timeout: float = 0.0) -> None:
        is_redelivered(0)  # loaded now, before anybody waits for this member
        self._queue = WorkMember(url, name, "filter", timeout=timeout)
        try:
            self._kind, writes, most = _checked(self._queue.about, name)
            self._outlets = [Collected(kind) for kind in writes]
            self._work = work_of(function, self._outlets, self._kind, most, f"filter {name!r}")
        except BaseException:
            self._queue.close()
            raise
        self._parameters = parameters_of(function)
        self._known = b""
        self._counts = dict.fromkeys(MemberStatistics.__dataclass_fields__, 0)

    @property
    def statistics(self) -> MemberStatistics:
        """What it has done so far."""
        return MemberStatistics(**self._counts)

    def run(self, is_over: Callable[[], bool] = lambda: False) -> MemberStatistics:
        """Work until the run of the pipeline has ended, or ``is_over()`` between two batches.

        Raises
        ------
        ResourceError
            The server was away for too long.
        """
        count, spent_s = 1, _BATCH_S
        with SignsOfLife(self._queue) as alive:
            while not is_over():
                try:
                    claimed = self._queue.fetch(count, _WAIT_S)
                except EndOfDataError:
                    break
                if not claimed:
                    continue
                alive.at([one.id for one in claimed])
                began = time.perf_counter()
                self._commit([(one.id, *self._done(one)) for one in claimed])
                alive.at(())
                spent_s += 0.3 * ((time.perf_counter() - began) / len(claimed) - spent_s)
                count = max(1, min(_MOST, int(_BATCH_S / max(spent_s, 1e-6))))
        return self.statistics

    def _done(self, claimed: Claimed) -> tuple[bytes, str]:
        """The result of one job, and what to count it as."""
        self._counts["received"] += 1
        self._counts["taken_over"] += claimed.deliveries > 1
        try:
            event = event_from(claimed.job.head, claimed.job.data, self._kind, redelivered=claimed.deliveries > 1)
            if claimed.deliveries > _DEADLY:
                return pack_failure(f"it has killed {_DEADLY} members: nobody tries it again"), "quarantined"
            self._set_parameters(claimed.job.parameters)
            outcome = self._work(event)
            return pack_result(outcome, self._outlets), "accepted" if outcome == b.ACCEPTED else "rejected"
        except Exception as error:  # noqa: BLE001 - whatever the user's code raises
            for outlet in self._outlets:
                outlet.records.clear()
            return pack_failure("".join(traceback.format_exception(error)).rstrip()), "quarantined"

    def _set_parameters(self, told: bytes) -> None:
        """As they were in the pipeline when it published the event."""
        if told == self._known:
            return
        values = json.loads(told) if told else {}
        for name, value in values.items():
            if name in self._parameters:
                self._parameters[name].apply(value)
        self._known = told

    def _commit(self, done: list[tuple[bytes, bytes, str]]) -> None:
        first = self._queue.commit([(identity, result) for identity, result, _outcome in done])
        for is_first, (_identity, _result, outcome) in zip(first, done, strict=True):
            self._counts[outcome if is_first else "repeated"] += 1

    def close(self) -> None:
        """Leave."""
        if not self._queue.link.is_closed:
            with contextlib.suppress(LabdaqError):  # it is noticed all the same, some seconds later
                self._queue.leave()
        self._queue.close()

    def __enter__(self) -> "SharedMember":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<member of {self._queue.name!r}, {self._counts['received']} events>"


def _checked(about: dict[str, Any], name: str) -> tuple[Kind, list[Kind], int]:
    """What the work is: the events read, the records written, and the most records of one event."""
    writes, most = about.get("writes"), about.get("most")
    if about.get("what") != "filter" or not isinstance(writes, list):
        raise LayoutError(f"what is shared as {name!r} is no work of a filter")
    if not isinstance(most, int) or not 0 < most <= _MOST_RECORDS:
        raise DataError(f"the work at {name!r} has most={most!r:.20}")
    return Kind.from_json(about.get("reads")), [Kind.from_json(told) for told in writes], most
