"""Connections to a Redis server: calls that wait for it with patience, and say what is wrong with it."""

import contextlib
import os
import threading
import time
from collections.abc import Sequence
from types import ModuleType
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from labdaq.errors import ClosedError, LayoutError, MissingExtraError, ResourceError

__all__ = ["Link", "hidden"]

Command = Sequence[Any]

_OURS = ("decode_responses", "encoding", "health_check_interval", "max_connections", "retry_on_timeout", "timeout")
_SOON = ("BUSY ", "LOADING", "MASTERDOWN", "READONLY", "TRYAGAIN", "CLUSTERDOWN", "NOREPLICAS", "UNBLOCKED")
_KEPT = 8  # connections that wait for the next call


class Link:
    """A server, as long as it is used.

    Parameters
    ----------
    url
        ``redis://``, ``rediss://`` or ``unix://``.
    patience_s
        How long a server that does not answer is waited for.

    Raises
    ------
    ResourceError
        From `call` and `pipeline`: there was no answer within that time, or the server refuses.
    """

    def __init__(self, url: str, patience_s: float) -> None:
        self._redis = _redis()
        self.url = hidden(url)
        self.patience_s = patience_s
        self.is_closed = False
        self._closing = threading.Event()
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._idle: list[Any] = []
        self._used: set[Any] = set()
        try:
            options = self._redis.connection.parse_url(url)
            self._class = options.pop("connection_class", self._redis.Connection)
            for name in _OURS:
                options.pop(name, None)
            self._options = options
            self.new_connection(1.0)
        except (ValueError, TypeError) as error:
            raise LayoutError(f"{self.url} is no address of a Redis server: {error}") from error
        errors = self._redis.exceptions
        self.broken: tuple[type[BaseException], ...] = (errors.ConnectionError, errors.TimeoutError, OSError)
        self.refused: type[Exception] = errors.ResponseError
        self._hopeless: type[Exception] = errors.AuthenticationError

    # ---------------------------------------------------------------------------------------- calls

    def call(self, *command: Any) -> Any:
        """The reply to one command, as bytes."""
        return self.pipeline([command])[0]

    def run(self, script: str, keys: Sequence[str], arguments: Sequence[Any] = ()) -> Any:
        """The reply to a script."""
        return self.call("EVAL", script, len(keys), *keys, *arguments)

    def pipeline(self, commands: Sequence[Command], block_s: float = 0.0, patience_s: float | None = None) -> list[Any]:
        """The replies to several commands, which may be sent again when none came.

        Parameters
        ----------
        block_s
            How long the server may take its time, because it was asked to.
        patience_s
            Instead of that of the server; 0 tries once.
        """
        patience = self.patience_s if patience_s is None else patience_s
        began = time.monotonic()
        deadline, pause = began + block_s + patience, 0.01
        while True:
            left = max(deadline - time.monotonic(), 0.05) if patience else self.patience_s
            try:
                return self._attempt(commands, left)
            except (*self.broken, self.refused) as error:
                if self.is_closed:
                    raise ClosedError("this store was closed") from error
                if not self.may_pass(error) or time.monotonic() + pause >= deadline:
                    raise self.trouble(error, time.monotonic() - began) from error
            self._closing.wait(pause)
            pause = min(pause * 2, 0.25)

    def may_pass(self, error: BaseException) -> bool:
        """Whether trying again may help."""
        if isinstance(error, self.refused):
            return str(error).startswith(_SOON) or isinstance(error, self._redis.exceptions.ReadOnlyError)
        return not isinstance(error, self._hopeless)

    def trouble(self, error: BaseException, waited_s: float = 0.0) -> ResourceError:
        """What to say when it did not help."""
        text = str(error) or type(error).__name__
        if isinstance(error, self.broken) and not isinstance(error, self._hopeless):
            return ResourceError(f"{self.url} cannot be reached, for {waited_s:.1f} s: {text}")
        return ResourceError(f"{self.url} refuses: {text}")

    def _attempt(self, commands: Sequence[Command], left_s: float) -> list[Any]:
        connection = self._borrow(left_s)
        try:
            set_timeout(connection, left_s)
            connection.send_packed_command(connection.pack_commands(commands))
            replies = [self.reply(connection) for _ in commands]
        except BaseException:
            self._drop(connection)
            raise
        self._give_back(connection)
        for reply in replies:
            if isinstance(reply, self.refused):
                raise reply
        return replies

    def reply(self, connection: Any) -> Any:
        """The next reply on a connection; a refusal is returned, too."""
        try:
            return connection.read_response(disable_decoding=True)
        except self.refused as error:
            return error

    # ----------------------------------------------------------------------------------- connections

    def new_connection(self, timeout_s: float) -> Any:
        """A connection that is not connected yet."""
        options = {**self._options, "socket_timeout": timeout_s, "socket_connect_timeout": timeout_s}
        return self._class(**options)

    def _borrow(self, left_s: float) -> Any:
        self._check()
        with self._lock:
            connection = self._idle.pop() if self._idle else None
            if connection is not None:
                self._used.add(connection)
                return connection
        connection = self.new_connection(left_s)
        with self._lock:
            self._used.add(connection)
        try:
            connection.connect()
        except BaseException:
            self._drop(connection)
            raise
        return connection

    def _give_back(self, connection: Any) -> None:
        with self._lock:
            self._used.discard(connection)
            if not self.is_closed and len(self._idle) < _KEPT:
                self._idle.append(connection)
                return
        connection.disconnect()

    def _drop(self, connection: Any) -> None:
        """Forget a connection, and those that were made as long ago."""
        with self._lock:
            self._used.discard(connection)
            old, self._idle = self._idle, []
        for other in (connection, *old):
            other.disconnect()

    def _check(self) -> None:
        if self.is_closed:
            raise ClosedError("this store was closed")
        if self._pid != os.getpid():  # connections are of one process: a forked child makes its own
            self._pid, self._lock, self._idle, self._used = os.getpid(), threading.Lock(), [], set()

    def close(self) -> None:
        """Cut every connection; who waits gets ClosedError."""
        self.is_closed = True
        self._closing.set()
        if self._pid != os.getpid():
            return
        with self._lock:
            idle, self._idle, used = self._idle, [], list(self._used)
        for connection in idle:
            connection.disconnect()
        for connection in used:
            cut(connection)


def cut(connection: Any) -> None:
    """Wake the thread that waits on a connection: it finds it broken."""
    sock = getattr(connection, "_sock", None)
    if sock is not None:
        with contextlib.suppress(OSError):
            sock.shutdown(2)


def set_timeout(connection: Any, seconds: float) -> None:
    """How long each step on a connection may take from now on."""
    sock = getattr(connection, "_sock", None)
    if sock is not None:
        sock.settimeout(seconds)


def hidden(url: str) -> str:
    """A URL without its password.

    Examples
    --------
    >>> hidden("redis://ada:secret@localhost:6379/1?password=x&protocol=3")
    'redis://ada:***@localhost:6379/1?protocol=3'
    """
    parts = urlsplit(url)
    user, at, place = parts.netloc.rpartition("@")
    name, colon, _password = user.partition(":")
    shown = f"{name}:***@{place}" if at and colon else parts.netloc
    query = urlencode([(key, value) for key, value in parse_qsl(parts.query) if key != "password"])
    return urlunsplit((parts.scheme, shown, parts.path, query, ""))


def _redis() -> ModuleType:
    try:
        import redis
        import redis.connection
        import redis.exceptions
    except ImportError as error:
        raise MissingExtraError("a store on a Redis server needs redis: pip install 'labdaq[redis]'") from error
    return redis
