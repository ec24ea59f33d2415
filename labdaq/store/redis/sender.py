"""The one thread of a process that sends points to a Redis server, for all writers of a store.

Writers put points into their `Outbox`, within a bound. The thread sends what has gathered there, and keeps it until
the server has acknowledged it. When the connection breaks, it is made again and all that was not acknowledged is
sent again; the server knows by the length of a stream what it has already. In which states a box may be is told in
`labdaq.store.redis.outbox`.
"""

import atexit
import contextlib
import os
import threading
import time
from typing import Any

from labdaq.errors import BusyError, ClosedError, LabdaqError, ResourceError, WaitTimeoutError
from labdaq.store.redis.claim import CLAIM_S, Claim, failure
from labdaq.store.redis.courier import Courier
from labdaq.store.redis.link import Link
from labdaq.store.redis.outbox import Outbox
from labdaq.store.redis.replies import count_of
from labdaq.store.statistics import StoreStatistics

__all__ = ["Sender"]

QUEUE_NBYTES = 2**26  # what may wait, of all streams
_CARGO_NBYTES = 2**22  # what is sent before the answers are read
_SOON_S = 0.2  # until the next try
_ONE_TRY_S = 0.5
_SLICE_S = 0.25


class Sender:
    """What all writers of a store share; its thread runs from the first writer until `close`."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._patience_s = link.patience_s
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._work = threading.Condition(self._lock)
        self._done = threading.Condition(self._lock)
        self._boxes: dict[Outbox, Claim] = {}
        self._ready: dict[Outbox, None] = {}
        self._queued_nbytes = 0
        self._is_idle = False
        self._is_closing = False
        self._is_stopped = False
        self._asked_at: float | None = None  # since when the server owes an answer
        self._trouble: BaseException | None = None
        self._renew_at = 0.0
        self._thread: threading.Thread | None = None
        self._courier = Courier(link, self._note_progress)
        self._sent = self._retried = self._lost = 0

    # --------------------------------------------------------------------------- the side of writers

    def open(self, box: Outbox, claim: Claim) -> None:
        """Begin to send for a writer, and to renew its claim."""
        with self._lock:
            self._check_open()
            self._boxes[box] = claim
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="labdaq-redis-sender", daemon=True)
                self._thread.start()
                atexit.register(self._close_at_exit)

    def put(self, box: Outbox, payload: Any, count: int) -> None:
        """Let a batch wait to be sent; blocks while too much waits already."""
        self.check_process()
        nbytes = len(payload)
        with self._lock:
            self._check(box)
            if nbytes > 4096:
                box.check(nbytes, count)
            if self._queued_nbytes and self._queued_nbytes + nbytes > QUEUE_NBYTES:
                self._await_room(box, nbytes)
            box.add(payload, count, time.time_ns())
            self._queued_nbytes += nbytes
            self._ready[box] = None
            if self._is_idle:
                self._is_idle = False
                self._work.notify()

    def _await_room(self, box: Outbox, nbytes: int) -> None:
        deadline = time.monotonic() + self._patience_s
        while self._queued_nbytes and self._queued_nbytes + nbytes > QUEUE_NBYTES:
            if time.monotonic() >= deadline:
                raise ResourceError(
                    f"{self._link.url} takes points more slowly than they are sent: {self._queued_nbytes} bytes wait, "
                    f"{box.npending} points of stream {box.name!r} among them, and {nbytes} bytes more found no room"
                )
            self._done.wait(_SLICE_S)
            self._check(box)

    def flush(self, box: Outbox, timeout: float | None) -> None:
        """Wait until everything of a writer is acknowledged."""
        self.check_process()
        began = time.monotonic()
        deadline = None if timeout is None else began + timeout
        with self._lock:
            while True:
                self._check(box, began)
                if not box.npending:
                    return
                left = _SLICE_S if deadline is None else min(_SLICE_S, deadline - time.monotonic())
                if left <= 0:
                    raise WaitTimeoutError(
                        f"{box.npending} points of stream {box.name!r} are not acknowledged after {timeout:g} s"
                    )
                self._done.wait(left)

    def drop(self, box: Outbox) -> int:
        """Send no more for a writer; how many of its points are lost by that."""
        with self._lock:
            lost = self._fail(box, ClosedError(f"stream {box.name!r} was given up here"))
            self._boxes.pop(box, None)
            return lost

    def statistics(self) -> StoreStatistics:
        """What became of the points so far."""
        with self._lock:
            pending = sum(box.npending for box in self._boxes)
            again = max(0, self._courier.nconnected - 1)
            return StoreStatistics(self._sent, pending, self._lost, self._retried, again)

    def check_process(self) -> None:
        """Raises BusyError in a child that was forked: threads and connections stayed with its parent."""
        if os.getpid() != self._pid:
            raise BusyError(
                f"this store was opened by process {self._pid}, which writes here; a forked child opens its own store"
            )

    def _check_open(self) -> None:
        if self._is_closing:
            raise ClosedError("this store was closed")

    def _check(self, box: Outbox, since: float = 0.0) -> None:
        """Raise what keeps a writer from sending; who waits since a moment sees at least one more try."""
        if box.error is not None:
            box.is_reported = True
            raise type(box.error)(*box.error.args)
        self._check_open()
        if (why := self._stuck(box)) is not None and time.monotonic() - since >= _ONE_TRY_S:
            raise why

    def _stuck(self, box: Outbox) -> ResourceError | None:
        """An error, when the server has not taken anything for too long."""
        now = time.monotonic()
        waiting = f"{box.npending} points of stream {box.name!r} wait"
        if box.refused_since is not None and now - box.refused_since >= self._patience_s:
            return ResourceError(f"{self._link.url} refuses: {box.refusal}; {waiting}")
        if self._asked_at is not None and now - self._asked_at >= self._patience_s:
            why = f": {self._link.reason(self._trouble)}" if self._trouble else ""
            return ResourceError(f"{self._link.url} has not answered for {now - self._asked_at:.1f} s; {waiting}{why}")
        return None

    # ---------------------------------------------------------------------------------- the thread

    def _run(self) -> None:
        while (cargo := self._next_cargo()) is not None:
            try:
                self._deliver(cargo)
            except Exception as error:  # noqa: BLE001 - whatever it is, writers must hear of it, and it must go on
                self._note_trouble(error)
        self._courier.disconnect()

    def _next_cargo(self) -> list[Outbox] | None:
        """Wait for something to do: writers with points to be sent, or nobody when claims are to be renewed."""
        with self._lock:
            while not self._is_stopped:
                now = time.monotonic()
                cargo = self._load(now)
                if cargo or (self._boxes and now >= self._renew_at):
                    if self._asked_at is None:
                        self._asked_at = now
                    return cargo
                times = [self._renew_at] if self._boxes else []
                times += [box.retry_at for box in self._ready]
                self._is_idle = True
                self._work.wait(max(min(times) - now, 0.001) if times else None)
                self._is_idle = False
        return None

    def _load(self, now: float) -> list[Outbox]:
        """Whose points are sent next: each in turn, until there are enough."""
        cargo, room = [], _CARGO_NBYTES
        for box in list(self._ready):
            if box.retry_at <= now and room > 0:
                self._retried += sum(entry.count for entry in box.sent)
                room -= box.take(room)
                cargo.append(box)
                del self._ready[box]
        return cargo

    def _deliver(self, cargo: list[Outbox]) -> None:
        try:
            if self._courier.connect() or time.monotonic() >= self._renew_at:
                self._renew()
            for box, verdict in self._courier.deliver(cargo):
                self._settle(box, verdict)
            with self._lock:
                self._asked_at = self._trouble = None
        finally:
            with self._lock:
                for box in cargo:
                    if box.npending:
                        self._ready[box] = None

    def _note_progress(self) -> None:
        if self._trouble is None:
            self._asked_at = time.monotonic()

    def _renew(self) -> None:
        with self._lock:
            claims = {box: claim for box, claim in self._boxes.items() if box.error is None}
            self._renew_at = time.monotonic() + CLAIM_S / 3
        for box, reply in zip(claims, self._courier.renew(list(claims.values())), strict=True):
            with self._lock:
                if isinstance(reply, self._link.refused) or box.error is not None:
                    continue  # refused: points will be refused, too
                start = box.length - box.npending
                is_behind = reply[0] == b"ok" and count_of(reply[1]) < start
                if is_behind or reply[0] != b"ok":
                    why = [b"behind", reply[1]] if is_behind else reply
                    self._fail(box, failure(why, box.name, box.npending, start))

    def _settle(self, box: Outbox, verdict: Any) -> None:
        """What became of the points of one writer; what was taken before a refusal is offered again."""
        with self._lock:
            if not box.sent:
                return
            if isinstance(verdict, self._link.refused):
                box.refuse(str(verdict), time.monotonic())
            elif verdict[0] == b"ok":
                npoint, nbytes = box.acknowledge()
                self._sent += npoint
                self._queued_nbytes -= nbytes
            else:
                self._fail(box, failure(verdict, box.name, box.npending, box.sent[0].start))
            self._done.notify_all()

    def _fail(self, box: Outbox, error: LabdaqError) -> int:
        npoint, nbytes = box.fail(error)
        self._lost += npoint
        self._queued_nbytes -= nbytes
        self._ready.pop(box, None)
        self._done.notify_all()
        return npoint

    def _note_trouble(self, error: BaseException) -> None:
        self._courier.disconnect()
        with self._lock:
            self._trouble = error
            if not self._is_stopped:
                self._work.wait(_SOON_S)

    # ---------------------------------------------------------------------------------------- end

    @property
    def is_over(self) -> bool:
        """Whether nothing more is sent from this process."""
        return self._is_closing or os.getpid() != self._pid

    def close(self) -> int:
        """Send what waits, for as long as patience lasts; how many points were lost that no error told of."""
        if self.is_over:
            return 0
        with self._lock:
            self._is_closing = True
            self._await_empty()
            lost = sum(box.npending + (0 if box.is_reported else box.nlost) for box in self._boxes)
            claims = [claim for box, claim in self._boxes.items() if box.error is None]
            for box in self._boxes:
                self._fail(box, ClosedError("this store was closed"))
            is_reachable = self._trouble is None and not lost
            self._is_stopped = True
            self._work.notify_all()
        self._end_thread()
        if claims and is_reachable:
            with contextlib.suppress(LabdaqError):  # they expire
                self._link.pipeline([claim.release() for claim in claims], patience_s=0.5)
        return lost

    def _await_empty(self) -> None:
        began = time.monotonic()
        while waiting := [box for box in self._boxes if box.npending]:
            waited = time.monotonic() - began
            if waited >= _ONE_TRY_S and (waited >= self._patience_s or all(map(self._stuck, waiting))):
                return
            self._done.wait(_SLICE_S)

    def _end_thread(self) -> None:
        atexit.unregister(self._close_at_exit)
        while self._thread is not None and self._thread.is_alive():
            self._courier.interrupt()
            self._thread.join(0.1)

    def _close_at_exit(self) -> None:
        if lost := self.close():
            raise ResourceError(f"{lost} points that were sent to {self._link.url} are lost: it did not take them")
