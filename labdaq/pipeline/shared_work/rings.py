"""A ring published at a Redis server, and read by groups whose members run anywhere."""

import contextlib
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from labdaq.errors import ClosedError, DataError, EndOfDataError, LabdaqError, LayoutError, WaitTimeoutError
from labdaq.pipeline.shared_work.frames import HeldEvent, Kind, event_from, head_of
from labdaq.pipeline.shared_work.member import SignsOfLife
from labdaq.ring import Ring
from labdaq.store.redis.work import Claimed, Job, WorkMember, WorkPublisher

__all__ = ["SharedReader", "SharedReaderStatistics", "SharedRing", "read_shared"]

_SLICE_S = 0.1
_FULL_S = 0.005
_MOST, _MOST_NBYTES = 64, 4 << 20
_COMMIT_S = 0.05


class SharedRing:
    """What `publish` returns for a Redis server; a context manager that ends the publication.

    A thread reads the ring and publishes its events. There are at most ``capacity`` of them that some group is not
    done with; then it waits, and with it those who write the ring.

    Attributes
    ----------
    published : int
        Events so far.
    waiting : int
        Events that some group was not done with when it looked last.
    """

    def __init__(
        self, ring: Ring, url: str, name: str | None, *, groups: Sequence[str], capacity: int, group: str | None
    ) -> None:
        if not ring.is_typed:
            raise LayoutError(f"ring {ring.name!r} holds bytes, and members share events: make it with a dtype")
        if not 0 < capacity <= 1 << 20:
            raise LayoutError(f"capacity={capacity}: from 1 to {1 << 20} events")
        self._kind = Kind.of(ring.name, ring.dtype, ring.shape)
        self.name = ring.name if name is None else name
        about = {"what": "ring", "reads": self._kind.to_json()}
        self._queue = WorkPublisher(url, self.name, about, capacity=capacity, groups=groups)
        try:
            self._reader = ring.reader(group, label="published")
        except BaseException:
            self._queue.close()
            raise
        self.published = self.waiting = 0
        self._most = max(1, min(_MOST, ring.capacity // 2, capacity, _MOST_NBYTES // max(self._kind.nbytes, 1)))
        self._is_over = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name=f"labdaq-publish {self.name}", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            with self._reader:
                self._publish_all()
            self._queue.end()
            while self.waiting and not self._is_over.wait(_SLICE_S / 2):
                _taken, self.waiting = self._queue.put()
        except ClosedError:
            pass
        except BaseException as error:  # noqa: BLE001 - raised where it is waited for or closed
            self._error = error
            with contextlib.suppress(LabdaqError):  # members need not wait until they find it silent
                self._queue.end()

    def _publish_all(self) -> None:
        while not self._is_over.is_set():
            try:
                events = self._reader.read_span(self._most, timeout=_SLICE_S)
            except WaitTimeoutError:
                _taken, self.waiting = self._queue.put()
                continue
            except EndOfDataError:
                _taken, self.waiting = self._queue.put()
                return
            data, planes = events.data, events.planes
            heads = [head_of(planes, at, events.index + at) for at in range(events.nframe)]
            self._put([Job(self.published + at, head, data[at].tobytes()) for at, head in enumerate(heads)])
            if self._reader.is_claim_over:
                self._reader.release()

    def _put(self, jobs: Sequence[Job]) -> None:
        while jobs and not self._is_over.is_set():
            taken, self.waiting = self._queue.put(jobs)
            self.published += taken
            jobs = jobs[taken:]
            if jobs:
                self._is_over.wait(_FULL_S)

    def wait(self, timeout: float | None = None) -> None:
        """Wait until the ring has ended, and every group is done with all of it.

        Raises
        ------
        WaitTimeoutError
            It goes on.
        ResourceError
            The server was away for too long.
        """
        self._thread.join(timeout)
        if self._thread.is_alive():
            raise WaitTimeoutError(f"{self.waiting} events of {self.name!r} wait for members, or the ring goes on")
        self._raise()

    def _raise(self) -> None:
        error, self._error = self._error, None
        if error is not None:
            raise error

    def close(self) -> None:
        """End the publication; members still get what was published. Twice is allowed."""
        self._is_over.set()
        self._thread.join()
        self._queue.close()
        self._raise()

    def __enter__(self) -> "SharedRing":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


@dataclass(frozen=True)
class SharedReaderStatistics:
    """What a member of a group has read: ``received == done + repeated + waiting``."""

    received: int
    done: int
    """Acknowledged: nobody of the group will get them again."""
    repeated: int
    """Others of the group had them meanwhile, because this one seemed dead for some seconds."""
    waiting: int
    """At hand, or not acknowledged yet."""
    taken_over: int
    """Of those received: from members that died."""
    malformed: int
    """What was no event of this ring; passed over, and counted as done."""


class SharedReader:
    """A member of a group that reads a published ring, from `read_shared`; iterates over events.

    An event is acknowledged when the next one is asked for: put away what you made of it before that. If this process
    dies, others of its group get what it has not acknowledged, marked as ``redelivered``, some seconds later.

    Attributes
    ----------
    dtype, shape
        Of one event.
    """

    def __init__(self, url: str, name: str, group: str, timeout: float, ahead: int) -> None:
        if not 0 < ahead <= 4096:
            raise LayoutError(f"ahead={ahead}: from 1 to 4096 events")
        self._queue = WorkMember(url, name, group, timeout=timeout)
        try:
            self._kind = _kind_of(self._queue.about, name)
        except BaseException:
            self._queue.close()
            raise
        self.dtype, self.shape = self._kind.dtype, self._kind.shape
        self._ahead = ahead
        self._claimed: list[Claimed] = []
        self._done: list[bytes] = []
        self._current: bytes | None = None
        self._received = self._acknowledged = self._repeated = self._taken_over = self._malformed = 0
        self._committed = time.monotonic()
        self._alive = SignsOfLife(self._queue)
        self._alive.__enter__()

    def read(self, timeout: float | None = None) -> HeldEvent:
        """The next event; the one before is done.

        Raises
        ------
        WaitTimeoutError
            None came in time.
        EndOfDataError
            The ring has ended, and the group is done with all of it.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        self.release()
        while True:
            while self._claimed:
                claimed = self._claimed.pop(0)
                self._current = claimed.id
                try:
                    is_again = claimed.deliveries > 1
                    return event_from(claimed.job.head, claimed.job.data, self._kind, redelivered=is_again)
                except DataError:
                    self._malformed += 1
                    self.release()
            self._fetch(deadline)

    def _fetch(self, deadline: float | None) -> None:
        self._commit()
        left = _SLICE_S if deadline is None else min(_SLICE_S, max(deadline - time.monotonic(), 0.0))
        self._claimed = self._queue.fetch(self._ahead, left)
        self._alive.at([one.id for one in self._claimed])
        self._received += len(self._claimed)
        self._taken_over += sum(one.deliveries > 1 for one in self._claimed)
        if not self._claimed and deadline is not None and time.monotonic() >= deadline:
            raise WaitTimeoutError(f"no event of {self._kind.name!r} came in time")

    def release(self) -> None:
        """The event at hand is done."""
        if self._current is not None:
            self._done.append(self._current)
            self._current = None
        if self._done and (not self._claimed or time.monotonic() - self._committed > _COMMIT_S):
            self._commit()

    def _commit(self) -> None:
        self._committed = time.monotonic()
        first = self._queue.commit([(identity, b"") for identity in self._done])
        self._done.clear()
        self._acknowledged += sum(first)
        self._repeated += len(first) - sum(first)

    def __iter__(self) -> Iterator[HeldEvent]:
        while True:
            try:
                yield self.read()
            except EndOfDataError:
                return

    def statistics(self) -> SharedReaderStatistics:
        """What it has read."""
        waiting = self._received - self._acknowledged - self._repeated
        counts = (self._received, self._acknowledged, self._repeated, waiting, self._taken_over, self._malformed)
        return SharedReaderStatistics(*counts)

    def close(self) -> None:
        """Leave: what was not acknowledged goes to others. Twice is allowed."""
        if self._queue.link.is_closed:
            return
        self._alive.__exit__()
        try:
            self._commit()
            self._queue.leave()
        finally:
            self._queue.close()

    def __enter__(self) -> "SharedReader":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.release()
        self._current = None  # after an error it goes to others
        self.close()


def _kind_of(about: dict[str, Any], name: str) -> Kind:
    if about.get("what") != "ring":
        raise LayoutError(f"what is shared as {name!r} is the work of a filter: labdaq work joins it")
    return Kind.from_json(about.get("reads"))


def read_shared(url: str, name: str, group: str, *, timeout: float = 10.0, ahead: int = 16) -> SharedReader:
    """Read a published ring as a member of a group: every event goes to one of its members, wherever they run.

    Parameters
    ----------
    url, name
        The Redis server, and the name of the publication.
    group
        A group that comes later gets what is still there.
    timeout
        Seconds to wait for the publication.
    ahead
        Events that are fetched at a time.

    Raises
    ------
    NotFoundError
        Nobody publishes under this name.
    ResourceError
        The server cannot be reached, or refuses.

    Examples
    --------
    >>> with read_shared("redis://localhost:6379", "raw", "fit") as reader:  # doctest: +SKIP
    ...     for event in reader:
    ...         keep(event.counter, event.data)
    """
    return SharedReader(url, name, group, timeout, ahead)
