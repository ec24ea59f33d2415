"""The connection of a reader: greeting, acknowledging, and noticing that the other side is gone or came back."""

import contextlib
import os
import secrets
import sys
import threading
import time
from collections import deque
from typing import Any

from labdaq.errors import ClosedError, DataError, StateError, WaitTimeoutError
from labdaq.stream import endpoints, header
from labdaq.stream.header import Kind
from labdaq.stream.keys import StreamKeys
from labdaq.stream.statistics import ClockOffset, StreamEvent
from labdaq.stream.zeromq import Lease, load

__all__ = ["Link"]

_SILENCE_S = 0.5
"""After so long without a message the sender is asked whether it is there."""
_LOST_S = 1.5
_FIRST_LOOK_MS = 5
_LOOK_MS = 250
_LINGER_MS = 300


class Link:
    """A reader's socket, and what is known of the sender behind it.

    ZeroMQ ends the process when a socket is closed while another thread is in it. So whoever closes waits until the
    reader looks up, which it does every quarter of a second.

    Attributes
    ----------
    events : deque of StreamEvent
        The last thousand things that happened to the connection.
    is_connected : bool
        Whether the sender answered lately.
    """

    def __init__(
        self, address: str, *, keys: StreamKeys | None, server: str | None, most_nbytes: int, name: str
    ) -> None:
        zmq = load()
        self._zmq = zmq
        self.address = endpoints.checked_address(address)
        if (keys is None) != (server is None):
            raise StateError("keys and server belong together: your keys, and the public key of the sender")
        self._keys, self._server, self._name = keys, server, name
        self._in_use, self._is_closed = threading.RLock(), False
        self._lease = Lease()
        try:
            self.socket = self._open(rcvhwm=0, maxmsgsize=most_nbytes, probe_router=1)
        except BaseException:
            self._lease.end()
            raise
        self.again = zmq.Again
        self.events: deque[StreamEvent] = deque(maxlen=1000)
        self.is_connected = False
        self.session = 0
        self._wait_ms = -1
        self._was_asked = self._heard = time.monotonic()

    def _open(self, **options: Any) -> Any:
        zmq = self._zmq
        # TCP itself asks ever more seldom for one that does not answer: after a minute, once in half a minute
        reconnecting = {"reconnect_ivl": 50, "reconnect_ivl_max": 400, "connect_timeout": 1000}
        identity = b"r" + secrets.token_bytes(15)
        socket = self._lease.socket(zmq.DEALER, routing_id=identity, **reconnecting, **endpoints.HEARTBEAT, **options)
        if self._keys is not None and self._server is not None:
            endpoints.secure_reader(socket, self._keys, self._server)
        socket.ipv6 = "[" in self.address
        try:
            socket.connect(self.address)
        except zmq.ZMQError as error:
            raise StateError(f"no connection to {self.address} is possible: {error}") from error
        return socket

    # ------------------------------------------------------------------------------------- saying

    def say(self, message: bytes) -> None:
        """Send a message; while there is no connection it waits for one."""
        with self._in_use:
            self._check_open()
            with contextlib.suppress(self._zmq.Again):
                self.socket.send(message, self._zmq.NOBLOCK)

    def _check_open(self) -> None:
        if self._is_closed:
            raise ClosedError("this stream was closed")

    def hello(self) -> None:
        """Ask to be taken in."""
        self.say(header.pack_json(Kind.HELLO, {"name": self._name, "session": self.session}))

    def note(self, kind: str, text: str = "") -> None:
        """Something happened."""
        self.events.append(StreamEvent(kind, time.time_ns(), text))

    def heard(self) -> None:
        """A message came: the sender is there."""
        self._heard = time.monotonic()
        if not self.is_connected and self.session:
            self.is_connected = True
            self.note("resumed")

    # ------------------------------------------------------------------------------------- waiting

    def receive(self, deadline: float | None, *, first: bool = False) -> list[Any]:
        """The frames of the next message, the first as bytes, the second as it is; more than two are not kept.

        Whether there are more is asked of the frame: asking the socket costs as much as receiving.

        Raises
        ------
        zmq.Again
            None came for a short time: look after other things, then ask again.
        """
        wait_ms = _FIRST_LOOK_MS if first else _LOOK_MS
        if deadline is not None:
            left_ms = (deadline - time.monotonic()) * 1000
            wait_ms = 0 if left_ms <= 0 else min(wait_ms, int(left_ms) + 1)
        socket = self.socket
        with self._in_use:
            if self._is_closed:
                self._check_open()
            if wait_ms != self._wait_ms:
                socket.rcvtimeo = self._wait_ms = wait_ms
            frame = socket.recv(copy=False)
            if not frame.more:
                return [frame.bytes]
            second = last = socket.recv(copy=False)
            while last.more:
                last = socket.recv(copy=False)
            return [frame.bytes, second] if last is second else [frame.bytes, second, last]

    def has_news(self) -> bool:
        """Whether a message has come."""
        with self._in_use:
            self._check_open()
            return bool(self.socket.poll(0))

    def check(self, deadline: float | None) -> None:
        """Nothing came for a while.

        Raises
        ------
        WaitTimeoutError
            The deadline has passed.
        """
        self.look_after()
        now = time.monotonic()
        if deadline is not None and now >= deadline:
            raise WaitTimeoutError(f"no chunk came in time{self._state(now)}")

    def look_after(self) -> None:
        """Ask a silent sender whether it is there, and note when it does not answer."""
        now = time.monotonic()
        if now - self._heard < _SILENCE_S or not self.session:
            return
        if now - self._was_asked > _SILENCE_S:
            self._was_asked = now
            self.say(header.pack_words(Kind.PING, 0, time.time_ns()))
        if self.is_connected and now - self._heard > _LOST_S:
            self.is_connected = False
            self.note("lost", f"nothing heard for {now - self._heard:.1f} s")

    def _state(self, now: float) -> str:
        if not self.session:
            return f"; nobody answers at {self.address}{', or the keys are wrong' if self._keys else ''}"
        if not self.is_connected:
            return f"; the sender at {self.address} has not answered for {now - self._heard:.1f} s"
        return ""

    # -------------------------------------------------------------------------------------- asking

    def ask(self, count: int, timeout: float) -> tuple[ClockOffset, int, int]:
        """Ping the sender on a line of its own, so that no chunks are in the way.

        Returns
        -------
        ClockOffset
            From the fastest answer.
        int, int
            Next sequence number and index of the sender.
        """
        with self._in_use:
            self._check_open()
            return self._asked(count, timeout)

    def _asked(self, count: int, timeout: float) -> tuple[ClockOffset, int, int]:
        socket = self._open(maxmsgsize=header.CONTROL_NBYTES)
        deadline = time.monotonic() + timeout
        best: tuple[int, int] | None = None
        sequence = index = 0
        try:
            for number in range(count):
                socket.send(header.pack_words(Kind.PING, number, time.time_ns()))
                while True:
                    left = deadline - time.monotonic()
                    if left <= 0 or not socket.poll(int(left * 1000) + 1):
                        raise WaitTimeoutError(f"the sender at {self.address} did not answer in {timeout:g} s")
                    answer = _pong(socket.recv_multipart())
                    if answer is not None and answer[0] == number:
                        break
                now = time.time_ns()
                _number, asked, theirs, sequence, index = answer
                trip = max(0, now - asked)
                if best is None or trip < best[0]:
                    best = trip, theirs - (asked + trip // 2)
        finally:
            self._lease.drop(socket)
        trip, offset = best or (0, 0)
        return ClockOffset(offset, -(-trip // 2)), sequence, index

    def close(self, goodbye: bytes | None) -> None:
        """Leave."""
        was_closed, self._is_closed = self._is_closed, True  # first: who is reading looks at it between two waits
        with self._in_use:
            if was_closed:
                return
            try:
                if goodbye is not None and not sys.is_finalizing():
                    self.socket.linger = _LINGER_MS
                    with contextlib.suppress(self._zmq.Again):
                        self.socket.send(goodbye, self._zmq.NOBLOCK)
            finally:
                self._lease.end()


def reader_name() -> str:
    """What a reader calls itself."""
    return f"process {os.getpid()}"


def _pong(frames: list[bytes]) -> tuple[int, ...] | None:
    try:
        is_pong = len(frames) == 1 and header.kind_of(frames[0]) is Kind.PONG
        return header.unpack_words(frames[0], 5) if is_pong else None
    except DataError:
        return None
