"""Connections to a Redis server: calls that wait for it with patience, and say what is wrong with it."""

import contextlib
import os
import threading
import time
from collections.abc import Sequence
from types import ModuleType
from typing import Any
from urllib.parse import SplitResult, parse_qsl, urlencode, urlsplit

from labdaq.errors import ClosedError, DataError, LayoutError, MissingExtraError, ResourceError
from labdaq.store.redis.replies import wrong_type

__all__ = ["Link", "hidden"]

Command = Sequence[Any]

_OURS = ("decode_responses", "encoding", "health_check_interval", "max_connections", "retry_on_timeout", "timeout")
_SOON = ("BUSY ", "LOADING", "MASTERDOWN", "READONLY", "TRYAGAIN", "CLUSTERDOWN", "NOREPLICAS", "UNBLOCKED")
_STRANGE = (AttributeError, TypeError, ValueError, LookupError, RecursionError)  # when replies are no replies
_NO_PASSWORD = ("NOAUTH", "Authentication required", "HELLO must be called")
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
        From `call` and `pipeline`: there was no answer within that time, or the server refuses, or it is none.
    DataError
        From `call` and `pipeline`: there is another type of value behind a key.
    LayoutError
        This is no address.
    """

    def __init__(self, url: str, patience_s: float) -> None:
        self._redis = _redis()
        errors = self._redis.exceptions
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
        except (ValueError, TypeError, AttributeError, errors.RedisError) as error:
            raise LayoutError(f"{self.url} is no address of a Redis server: {_reason(error, url)}") from None
        self.broken: tuple[type[BaseException], ...] = (errors.ConnectionError, errors.TimeoutError, OSError)
        self.refused: type[Exception] = errors.ResponseError
        self._hopeless: type[Exception] = errors.AuthenticationError
        self._strange: type[Exception] = errors.InvalidResponse
        self._failed: tuple[type[BaseException], ...] = (errors.RedisError, OSError)

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
        found = self.replies(commands, block_s, patience_s)
        for reply in found:
            if isinstance(reply, DataError):
                raise reply
        return found

    def replies(self, commands: Sequence[Command], block_s: float = 0.0, patience_s: float | None = None) -> list[Any]:
        """The same as `pipeline`, with a DataError instead of the reply where there is another type of value."""
        patience = self.patience_s if patience_s is None else patience_s
        began = time.monotonic()
        deadline, pause = began + block_s + patience, 0.01
        while True:
            left = max(deadline - time.monotonic(), 0.05) if patience else self.patience_s
            try:
                return self._attempt(commands, left)
            except self._failed as error:
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
        return isinstance(error, self.broken) and not isinstance(error, self._hopeless)

    def trouble(self, error: BaseException, waited_s: float = 0.0) -> ResourceError:
        """What to say when it did not help."""
        if isinstance(error, self.broken) and not isinstance(error, self._hopeless):
            return ResourceError(f"{self.url} cannot be reached, for {waited_s:.1f} s: {self.reason(error)}")
        verb = "cannot be used" if isinstance(error, self._strange) else "refuses"
        return ResourceError(f"{self.url} {verb}: {self.reason(error)}")

    def reason(self, error: BaseException) -> str:
        """An error of a connection, in words."""
        text = str(error) or type(error).__name__
        if isinstance(error, self._strange):
            return f"it does not answer as Redis does ({text}): is this a Redis server, and its port?"
        if text.startswith(_NO_PASSWORD):
            return "it wants a password: give it in the address, redis://:password@host or redis://user:password@host"
        return text

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
        for at, reply in enumerate(replies):
            if isinstance(reply, self.refused):
                if not str(reply).startswith("WRONGTYPE"):
                    raise reply
                replies[at] = wrong_type(commands[at])
        return replies

    def reply(self, connection: Any) -> Any:
        """The next reply on a connection; a refusal is returned, too."""
        try:
            return connection.read_response(disable_decoding=True)
        except self.refused as error:
            return error
        except _STRANGE as error:
            raise self._strange(f"{type(error).__name__}: {error}") from error

    # ----------------------------------------------------------------------------------- connections

    def new_connection(self, timeout_s: float) -> Any:
        """A connection that is not connected yet."""
        options = {**self._options, "socket_timeout": timeout_s, "socket_connect_timeout": timeout_s}
        return self._class(**options)

    def connect(self, connection: Any) -> None:
        """Connect, and introduce us."""
        try:
            connection.connect()
        except _STRANGE as error:
            raise self._strange(f"{type(error).__name__}: {error}") from error

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
            self.connect(connection)
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
    try:
        parts = urlsplit(url)
        if parts.port is None or "@" in parts.netloc or "@" not in parts.path + parts.fragment:
            return _shown(parts)
    except ValueError:  # a password with strange characters, perhaps: what is before its end stays hidden
        pass
    scheme, _separator, rest = url.partition("://")
    before, at, place = rest.rpartition("@")
    return f"{scheme}://{'***' if before else ''}{at}{place.partition('?')[0]}"


def _shown(parts: SplitResult) -> str:
    user, at, place = parts.netloc.rpartition("@")
    name, colon, _password = user.partition(":")
    shown = f"{name}:***@{place}" if at and colon else parts.netloc
    query = urlencode([(key, value) for key, value in parse_qsl(parts.query) if key != "password"])
    return f"{parts.scheme}://{shown}{parts.path}{'?' if query else ''}{query}"


def _reason(error: BaseException, url: str) -> str:
    """Why something is no address; without what may be a part of the password."""
    if "@" in url or "password" in url:
        return "write a password with / ? # @ : or % in it as urllib.parse.quote(password, safe='') does"
    return str(error)


def _redis() -> ModuleType:
    try:
        import redis
        import redis.connection
        import redis.exceptions
    except ImportError as error:
        raise MissingExtraError("a store on a Redis server needs redis: pip install 'labdaq[redis]'") from error
    return redis
