"""The side of a sender that answers: one small thread which greets readers and takes their acknowledgements.

Its socket belongs to two threads, the one that sends and this one, which take turns by a lock. Whoever has the
lock reads what has come, so that a sender that is busy needs nobody to be woken for it.
"""

import contextlib
import secrets
import selectors
import socket as sockets
import threading
import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from labdaq.errors import ClosedError, DataError, WaitTimeoutError
from labdaq.native.process import this_process
from labdaq.stream import endpoints, header
from labdaq.stream.accounts import Account
from labdaq.stream.header import Kind
from labdaq.stream.keys import Doorkeeper, StreamKeys
from labdaq.stream.zeromq import Lease, load

__all__ = ["Service"]

_SLICE_S = 0.05  # a sender may have taken the signal of a message that we wait for
_PROBE_S = 0.4
_MOST_READERS = 1000
_LINGER_MS = 1000


class Service:
    """The socket of a sender, and the accounts of its readers.

    Parameters
    ----------
    new_account
        Makes the account of a reader: its identity, its name, the sequence number it begins with.
    greeting
        What a reader is told when it is taken in, beside session and position.

    Attributes
    ----------
    is_over : bool
        Whether the stream was closed.
    position : tuple of int
        Number of the next chunk, and of the next sample: one object, so that nobody sees one without the other.
    """

    def __init__(
        self,
        new_account: Callable[[bytes, str, int], Account],
        greeting: Callable[[], dict[str, Any]],
        *,
        protocol: str,
        interface: str,
        port: int,
        keys: StreamKeys | None = None,
        allowed: Iterable[str] = (),
    ) -> None:
        zmq = load()
        self._zmq, self._new_account, self._greeting = zmq, new_account, greeting
        self._events, self._readable = int(zmq.EVENTS), int(zmq.POLLIN)
        self._last_frame, self._more_frames = int(zmq.NOBLOCK), int(zmq.NOBLOCK | zmq.SNDMORE)
        self.lock = threading.RLock()
        self.changed = threading.Condition(self.lock)
        self.session = secrets.randbits(62)
        self.position = 0, 0
        self.malformed = self.turned_away = self.arrivals = 0
        self.readers: dict[bytes, Account] = {}
        self.gone: dict[bytes, Account] = {}
        self.duties: list[Callable[[], None]] = []
        self._lease = Lease(private=protocol != "inproc")  # its end means that the port is free again
        try:
            self._doorkeeper = Doorkeeper(self._lease, allowed) if keys is not None else None
            options = {"sndhwm": 0, "maxmsgsize": header.CONTROL_NBYTES, "router_mandatory": 1, "router_handover": 1}
            self.socket = self._lease.socket(zmq.ROUTER, **options, **endpoints.HEARTBEAT)
            if keys is not None:
                endpoints.secure_sender(self.socket, keys)
            self.address = endpoints.bind(self.socket, protocol, interface, port)
        except BaseException:
            self._lease.end()
            raise
        plain: Any = type(self.socket).__mro__[1]  # its send() looks after no groups, and is quicker
        self._send = partial(plain.send, self.socket)
        self._over = threading.Event()
        self.is_over = False
        self._descriptor = self.socket.getsockopt(zmq.FD)
        self._probed = time.monotonic()
        self._bell, self._ear = sockets.socketpair()
        self._thread = threading.Thread(target=self._serve, name=f"labdaq-stream {self.address}", daemon=True)
        self._thread.start()

    @property
    def sequence(self) -> int:
        """Number of the next chunk."""
        return self.position[0]

    @property
    def index(self) -> int:
        """Absolute number of the next sample."""
        return self.position[1]

    # --------------------------------------------------------------------------------- the thread

    def _serve(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._descriptor, selectors.EVENT_READ)
            selector.register(self._ear, selectors.EVENT_READ)
            if self._doorkeeper is not None:
                selector.register(self._doorkeeper.descriptor, selectors.EVENT_READ)
            while not self._over.is_set():
                selector.select(_SLICE_S)
                if self._over.is_set():
                    return
                with self.lock:
                    if self._over.is_set():
                        return
                    if self._doorkeeper is not None:
                        self.turned_away += self._doorkeeper.answer()
                    self.attend()
                    self._probe_now_and_then()
                    for duty in self.duties:
                        duty()

    def _probe_now_and_then(self) -> None:
        """Those who share memory are sent nothing else, by which their death would be noticed."""
        now = time.monotonic()
        if now - self._probed > _PROBE_S:
            self._probed = now
            self.probe(self.readers.values())

    def attend(self) -> None:
        """Take in everything that readers sent. With the lock.

        Raises
        ------
        ClosedError
            Another thread has closed the stream meanwhile.
        """
        if self._over.is_set():
            raise ClosedError("this stream was closed")
        # The garbage collector may run in here, and close this very stream when it was forgotten.
        while not self.is_over and self.socket.getsockopt(self._events) & self._readable:
            identity = self.socket.recv(self._zmq.NOBLOCK)
            frames: list[bytes] = []
            while self.socket.getsockopt(self._zmq.RCVMORE):
                part = self.socket.recv()
                if len(frames) < 2:
                    frames.append(part)
            try:
                self._take(identity, frames)
            except DataError:
                self.malformed += 1

    def _take(self, identity: bytes, frames: list[bytes]) -> None:
        if len(frames) != 1:
            raise DataError("messages of readers have one frame")
        if not frames[0]:  # a new connection presents itself so (ZMQ_PROBE_ROUTER)
            self._present(identity)
            return
        kind = header.kind_of(frames[0])
        reader = self.readers.get(identity)
        if kind is Kind.HELLO:
            self._greet(identity, frames[0])
        elif kind is Kind.PING:
            number, asked_ns = header.unpack_words(frames[0], 2)
            words = (number, asked_ns, time.time_ns(), self.sequence, self.index)
            self.tell(identity, header.pack_words(Kind.PONG, *words))
            if reader is None:  # its greeting, or our question for it, went the way of a broken connection
                self.tell(identity, header.pack(Kind.WHO))
        elif kind in {Kind.ACK, Kind.BYE} and reader is not None:
            sequence, received = header.unpack_words(frames[0], 2)
            reader.is_attached = True
            reader.acknowledge(sequence, received)
            if kind is Kind.BYE:
                self.lose(reader)
            self.changed.notify_all()
        elif kind in {Kind.ACK, Kind.BYE}:
            if kind is Kind.ACK:
                self.tell(identity, header.pack(Kind.WHO))
        else:
            raise DataError(f"readers do not send {kind.name}")

    def _present(self, identity: bytes) -> None:
        reader = self.readers.get(identity)
        if reader is not None:  # it comes back before we noticed that it was gone
            self.lose(reader)
        self.tell(identity, header.pack(Kind.WHO))

    def _greet(self, identity: bytes, frame: bytes) -> None:
        version = frame[4]
        if version != header.VERSION:
            self.refuse(identity, f"the sender speaks version {header.VERSION} and the reader version {version}")
            return
        content = header.unpack_json(frame)
        if len(self.readers) >= _MOST_READERS:
            self.refuse(identity, f"there are {_MOST_READERS} readers already")
            return
        if identity not in self.readers:
            account = self.gone.pop(identity, None) if content.get("session") == self.session else None
            if account is None:
                account = self._new_account(identity, str(content.get("name"))[:100], self.sequence)
            else:
                account.resume(self.sequence)
            self._take_in(account)
        else:
            self.welcome(identity)
        self.changed.notify_all()

    def _take_in(self, account: Account) -> None:
        self.readers[account.identity] = account
        self.arrivals += 1
        self.welcome(account.identity)

    def refuse(self, identity: bytes, reason: str) -> None:
        """Turn a reader away."""
        self.turned_away += 1
        self.tell(identity, header.pack_json(Kind.REFUSED, {"reason": reason}))

    def welcome(self, identity: bytes) -> None:
        """Tell a reader what it will hear, and from where on."""
        pid, started = this_process()
        position = {"session": self.session, "sequence": self.sequence, "index": self.index}
        content = {**position, "host": sockets.gethostname(), "pid": pid, "started": started, **self._greeting()}
        self.tell(identity, header.pack_json(Kind.WELCOME, content))

    def announce(self) -> None:
        """Tell all readers what has become known since they came."""
        for identity in list(self.readers):
            self.welcome(identity)

    # -------------------------------------------------------------------------------------- sending

    def tell(self, identity: bytes, message: bytes) -> bool:
        """Send a message of one frame; False when this reader is not there any more."""
        return self.transmit(identity, (message,))

    def transmit(self, identity: bytes, frames: tuple[Any, ...]) -> bool:
        """Send frames to a reader; False, and its account is closed, when it is not there any more."""
        send = self._send
        done = 0
        try:
            send(identity, self._more_frames)
            done = 1
            for frame in frames[:-1]:
                send(frame, self._more_frames)
                done += 1
            send(frames[-1], self._last_frame)
        except self._zmq.ZMQError:
            if identity in self.readers:
                self.lose(self.readers[identity])
            return False
        except BaseException:  # an interrupt: half a message would spoil the next one
            with contextlib.suppress(self._zmq.ZMQError):
                for frame in frames[done - 1 : -1] if done else ():
                    send(frame, self._more_frames)
                if done:
                    send(frames[-1], self._last_frame)
            raise
        return True

    def probe(self, readers: Iterable[Account]) -> None:
        """Notice those that died: they cannot be sent anything."""
        for reader in list(readers):
            self.tell(reader.identity, header.pack(Kind.NOTHING))

    def lose(self, reader: Account) -> None:
        """A reader has left, or cannot be reached."""
        self.readers.pop(reader.identity, None)
        reader.leave(self.sequence)
        if len(self.gone) >= _MOST_READERS:
            self.gone.pop(next(iter(self.gone)))
        self.gone[reader.identity] = reader
        self.changed.notify_all()

    # -------------------------------------------------------------------------------------- waiting

    def wait_for_readers(self, count: int, timeout: float | None) -> None:
        """See `OutputStream.wait_for_readers`."""
        deadline = None if timeout is None else time.monotonic() + timeout
        with self.changed:
            while len(self.readers) < count:
                if not self._wait(deadline):
                    raise WaitTimeoutError(f"{len(self.readers)} of {count} readers connected in {timeout:g} s")

    def drain(self, timeout: float | None) -> None:
        """See `OutputStream.drain`."""
        deadline = None if timeout is None else time.monotonic() + timeout
        with self.changed:
            while behind := [reader for reader in self.readers.values() if reader.waiting]:
                if not self._wait(deadline):
                    raise WaitTimeoutError(
                        f"reader {behind[0].name!r} has not received {behind[0].waiting} chunks in {timeout:g} s"
                    )

    def _wait(self, deadline: float | None) -> bool:
        """Wait for something to change; False when the time is over."""
        left = _PROBE_S if deadline is None else min(_PROBE_S, deadline - time.monotonic())
        if left <= 0:
            return False
        self.changed.wait(left)
        self.attend()
        return True

    # ------------------------------------------------------------------------------------------ end

    def restart(self) -> None:
        """End this session and begin another one with the same readers, who are told."""
        with self.lock:
            self.attend()
            readers = list(self.readers.values())
            self._say_goodbye()
            for reader in readers:
                self.lose(reader)
            self.gone.clear()
            self.session = secrets.randbits(62)
            self.position = 0, 0
            for reader in readers:
                self._take_in(self._new_account(reader.identity, reader.name, 0))

    def _say_goodbye(self) -> None:
        end = header.pack_words(Kind.END, self.session, self.sequence, self.index)
        for identity in list(self.readers):
            self.tell(identity, end)

    def close(self) -> None:
        """Say good-bye and end; what is on its way has a second to arrive."""
        with self.lock:
            if self._over.is_set():
                return
            self.attend()
            self._say_goodbye()
            self._over.set()
            self.is_over = True
            self.changed.notify_all()
        with contextlib.suppress(OSError):
            self._bell.send(b"!")
        if threading.current_thread() is not self._thread:
            self._thread.join()
        self._bell.close()
        self._ear.close()
        with self.lock:  # nobody is in the socket, and who comes later finds that it is over
            self.socket.linger = _LINGER_MS
            self._lease.end()
            endpoints.unbind(self.address)
            for reader in list(self.readers.values()):
                self.lose(reader)
        self.duties.clear()
