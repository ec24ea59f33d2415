"""Capturing packets: a transport, an assembly, and where the frames go."""

import contextlib
import os
import threading
from collections.abc import Iterator
from typing import Any

from labdaq.errors import BusyError, ClosedError, LayoutError
from labdaq.packet.assembly import Assembly
from labdaq.packet.batch import Batch
from labdaq.packet.describing import SequenceCallback
from labdaq.packet.format import PacketFormat, Setup
from labdaq.packet.formats import find_format
from labdaq.packet.ledger import Ledger
from labdaq.packet.sinks import RingSink, Sink
from labdaq.packet.status import CaptureStatus
from labdaq.packet.transports import Transport

__all__ = ["PacketCapture", "checked_core", "pinned", "product"]

_GOING_ON = {CaptureStatus.STARTED, CaptureStatus.CONTINUED, CaptureStatus.CHANGED}


class PacketCapture:
    """Packets from any transport into frames of a ring; a context manager.

    Parameters
    ----------
    packet_format
        A name such as ``chips_132``, or a :class:`PacketFormat`.
    transport
        Where packets come from.
    sink
        Where frames go.
    nsrc
        Sources that make up a frame; of a tuple, the product.
    src0
        The number of the first source.
    ntime_gulp
        Frames of a gulp: what is handed out at a time.
    ntime_slot
        About the number of frames per second. With `align`, sequences begin at a multiple of it, and what comes
        before is late.
    sequence_callback
        Called with the :class:`Setup` of each new sequence; returns its time tag and its header.
    open_gulps
        How many gulps are open at a time, within which packets may come in any order.
    rate
        For formats that cannot tell it from one packet: the decimation of TBN, frames per second of VDIF. Learnt
        from the first packets if it is not given.
    core
        The core that the capture's own thread runs on; that of the caller, during :meth:`recv`.

    Examples
    --------
    >>> import labdaq
    >>> from labdaq.packet import CaptureStatus, Packets, RingSink
    >>> packets = Packets([number.to_bytes(8, "big") + bytes(8192) for number in (0, 1, 2, 4, 4)])
    >>> with labdaq.Ring("packets") as ring:
    ...     with PacketCapture("simple", packets, RingSink(ring, is_live=False), nsrc=1) as capture:
    ...         while capture.recv() != CaptureStatus.ENDED:
    ...             pass
    ...     print(capture.ledger())
    5 packets = 4 accepted + 0 late + 1 duplicate + 0 ring full + 0 invalid
    5 expected = 4 accepted + 1 missing
    """

    def __init__(
        self,
        packet_format: str | PacketFormat,
        transport: Transport,
        sink: Sink,
        *,
        nsrc: int | tuple[int, ...],
        src0: int = 0,
        ntime_gulp: int = 256,
        ntime_slot: int | None = None,
        sequence_callback: SequenceCallback | None = None,
        align: bool = False,
        open_gulps: int = 2,
        rate: int | None = None,
        max_size: int = 1 << 16,
        core: int | None = None,
    ) -> None:
        self.format = find_format(packet_format)
        self.ntime_gulp = ntime_gulp
        """Frames of a gulp."""
        self._core = checked_core(core)
        self._transport, self._sink = transport, sink
        self._assembly = Assembly(
            self.format, sink, nsrc=product(nsrc), src0=src0, ntime_gulp=ntime_gulp, ntime_slot=ntime_slot,
            align=align, open_gulps=open_gulps, rate=rate, callback=sequence_callback, max_size=max_size,
        )  # fmt: skip
        self._batch: Batch | None = None
        self._using = threading.Lock()
        self._user = 0  # the thread that is in recv()
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()
        self._error: BaseException | None = None
        self._is_closed = False
        if isinstance(sink, RingSink):
            sink.is_stopped = self._stopping.is_set

    # -------------------------------------------------------------------------------- what it does

    def recv(self) -> CaptureStatus:
        """Place packets until a gulp is handed out, a sequence begins, or nothing more comes.

        Raises
        ------
        BusyError
            When the capture runs in its own thread, or another thread is in here.
        Exception
            What the callback raises. The capture is over then.
        """
        if self._thread is not None and threading.current_thread() is not self._thread:
            raise BusyError("this capture runs in a thread of its own: stop() it, or read its ledger()")
        if self._is_closed:
            raise ClosedError("this capture was closed")
        if self._error is not None:
            raise ClosedError(f"this capture ended with an error: {self._error}") from self._error
        if not self._using.acquire(blocking=False):
            raise BusyError("another thread is in recv() of this capture: one at a time")
        self._user = threading.get_ident()
        try:
            if self._core is None:
                return self._step()
            with pinned(self._core):
                return self._step()
        except Exception as error:
            self._error = error
            self._assembly.abandon()
            raise
        finally:
            self._user = 0
            self._using.release()

    def _step(self) -> CaptureStatus:
        while True:
            if self._batch is None or (self._batch.is_used_up and not self._assembly.has_held):
                self._batch = self._transport.next_batch()
                if self._batch is None:
                    return self._at_end()
            status = self._assembly.place(self._batch)
            if status is not None:
                return status

    def _at_end(self) -> CaptureStatus:
        """Nothing more comes, for now."""
        return CaptureStatus.ENDED if self._assembly.finish() else CaptureStatus.NO_DATA

    def start(self) -> None:
        """Capture in a thread of its own, until :meth:`stop` or the end of the packets.

        Raises
        ------
        BusyError
            When it runs already.
        """
        if self._thread is not None:
            raise BusyError("this capture runs already")
        if self._is_closed:
            raise ClosedError("this capture was closed")
        self._stopping.clear()
        self._thread = threading.Thread(target=self._run, name=f"labdaq-capture-{self.format.name}", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        with contextlib.suppress(Exception):  # kept in self._error, and raised by stop()
            while not self._stopping.is_set():
                status = self.recv()
                if status not in _GOING_ON and not self._transport.is_live:
                    return

    def stop(self) -> None:
        """End capturing: all frames that came are handed out, and the sequence ends.

        Raises
        ------
        BusyError
            When a callback of this capture calls it: raise an error there instead.
        Exception
            What ended the capture, such as an error of the callback.
        """
        if self._user == threading.get_ident():
            raise BusyError("a callback cannot stop the capture that waits for it: raise an error, or return")
        self._stopping.set()
        try:
            self.wait()
            with self._using:  # whoever is in recv() comes out first
                self._assembly.finish()
        finally:
            self._stopping.clear()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the capture's own thread has ended; whether it has.

        Raises
        ------
        Exception
            What ended it.
        """
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout)
            if thread.is_alive():
                return False
            self._thread = None
            if self._error is not None:
                raise self._error
        return True

    # -------------------------------------------------------------------------------- what is seen

    def ledger(self) -> Ledger:
        """The balance of everything that came."""
        return self._assembly.ledger(**self._transport.counters())

    @property
    def setup(self) -> Setup | None:
        """The sequence that is open, or was last."""
        return self._assembly.setup

    @property
    def rate(self) -> int | None:
        """What was given or learnt."""
        return self._assembly.rate

    def close(self) -> None:
        """Stop, hand out what came, and end writing."""
        if self._is_closed:
            return
        try:
            self.stop()
        finally:
            self._is_closed = True
            self._sink.close()
            self._transport.close()

    def __enter__(self) -> Any:
        return self

    def __exit__(self, kind: object, *_exception: object) -> None:
        if kind is None:
            self.close()
        else:  # what went wrong inside of the block comes first
            with contextlib.suppress(Exception):
                self.close()


@contextlib.contextmanager
def pinned(core: int | None) -> Iterator[None]:
    """The calling thread on one core, and back where it was afterwards."""
    if core is None or not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    if before != {core}:
        os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        if before != {core}:
            os.sched_setaffinity(0, before)


def checked_core(core: int | None) -> int | None:
    """A core that this process may use; None for none and, as in Bifrost, for -1.

    Raises
    ------
    LayoutError
        For others; lists those there are.
    """
    if core is None or core < 0:
        return None
    available = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)
    if core not in available:
        raise LayoutError(f"core {core}: this process may use {sorted(available)}")
    return core


def product(nsrc: int | tuple[int, ...]) -> int:
    """How many sources; of a tuple, all of them together."""
    if not isinstance(nsrc, tuple):
        return nsrc
    product = 1
    for count in nsrc:
        product *= count
    return product
