"""A Redis server of this machine, started for a class, an experiment or a test.

It listens on this machine only, unless it has a password. What it keeps lives in its memory, and in its folder
when it is told to keep it.
"""

import atexit
import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import quote

from labdaq.errors import ResourceError, StateError
from labdaq.store.redis.program import check_arguments, dies_with_us, find_redis_server, free_port, quoted

__all__ = ["RedisServer", "find_redis_server", "serve_redis"]

_READY = "Ready to accept connections"
_START_S = 15.0
_TRIES = 5  # another program may take a free port first


class RedisServer:
    """A server that runs until `stop`, or until the end of a ``with``.

    Parameters
    ----------
    folder
        Where its log and its data are; a temporary one, if there is none. It is made if it does not exist.
    host
        Where it listens; ``"0.0.0.0"`` is everywhere, which needs a password.
    port
        Where it listens; a free one, if None is given.
    password
        That clients must know.
    keep
        Write points to the folder as well, from which they come back when a server is started there again; a loss
        of power may cost the last second.
    max_nbytes
        Of memory; then writers get an error, and nothing is removed. None: no limit.

    Attributes
    ----------
    url : str
        For `DataStore`, with the password.
    pid : int

    Raises
    ------
    NotFoundError
        There is no server program on this machine.
    ResourceError
        It does not start: the port is taken, the folder cannot be written. The message has its last words.
    LayoutError
        An argument cannot be: it would be open to the world, or there is no such port.

    Examples
    --------
    >>> with RedisServer() as server:  # doctest: +SKIP
    ...     store = DataStore(server.url)
    """

    def __init__(
        self,
        folder: str | os.PathLike[str] | None = None,
        *,
        host: str = "127.0.0.1",
        port: int | None = None,
        password: str | None = None,
        keep: bool = False,
        max_nbytes: int | None = None,
    ) -> None:
        check_arguments(host, port, password, max_nbytes)
        program = find_redis_server()
        self._owner = os.getpid()
        self.host = host
        self.password = password
        self._is_own_folder = folder is None
        self.folder = Path(tempfile.mkdtemp(prefix="labdaq-redis-") if folder is None else folder).absolute()
        self._options = {"keep": keep, "max_nbytes": max_nbytes}
        self._process: subprocess.Popen[bytes] | None = None
        atexit.register(self.stop)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._start(program, port)
        except OSError as error:
            self.stop()
            if isinstance(error, ResourceError):
                raise
            raise ResourceError(f"a server cannot use {self.folder}: {error}") from error
        except BaseException:
            self.stop()
            raise

    @property
    def url(self) -> str:
        """Its address, with the password."""
        user = f":{quote(self.password, safe='')}@" if self.password else ""
        host = "127.0.0.1" if self.host in {"0.0.0.0", "::", "*"} else self.host  # noqa: S104 - only compared
        return f"redis://{user}{f'[{host}]' if ':' in host else host}:{self.port}"

    @property
    def pid(self) -> int:
        """The process that serves."""
        if self._process is None:
            raise StateError("this server was stopped")
        return self._process.pid

    @property
    def log(self) -> str:
        """What it wrote since it was started."""
        path = self.folder / "server.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def is_running(self) -> bool:
        """Whether its process lives."""
        return self._process is not None and self._process.poll() is None

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the process has ended, whoever ended it; False when it has not in time (seconds)."""
        if self._process is not None:
            try:
                self._process.wait(timeout)
            except subprocess.TimeoutExpired:
                return False
        return True

    def stop(self) -> None:
        """End it, and remove its temporary folder; doing it again changes nothing."""
        if os.getpid() != self._owner:  # a forked child, which it does not belong to
            return
        process, self._process = self._process, None
        if process is not None and process.poll() is None:
            process.send_signal(signal.SIGCONT)
            process.terminate()
            try:
                process.wait(_START_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if self._is_own_folder:
            shutil.rmtree(self.folder, ignore_errors=True)
        atexit.unregister(self.stop)

    # ------------------------------------------------------------------------------------- starting

    def _start(self, program: str, port: int | None) -> None:
        for attempt in range(1, _TRIES + 1):
            self.port = free_port(self.host) if port is None else port
            try:
                self._launch(program)
            except ResourceError as error:
                if port is not None or attempt == _TRIES or "in use" not in str(error):
                    raise
            else:
                return

    def _launch(self, program: str) -> None:
        path = self.folder / "server.log"
        with path.open("wb") as log:
            self._process = subprocess.Popen(
                [*dies_with_us(), program, "-"],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                start_new_session=True,  # Ctrl-C is for us, who end it
            )
        with contextlib.suppress(BrokenPipeError), self._process.stdin as config:  # type: ignore[union-attr]
            config.write(self._config().encode())  # if it ended at once, its log says why
        deadline = time.monotonic() + _START_S
        while _READY not in (text := self.log):
            if not self.is_running() or time.monotonic() > deadline:
                last = " | ".join(line for line in text.splitlines()[-6:] if line.strip())
                raise ResourceError(f"{program} does not start on {self.host}:{self.port}: {last or 'it says nothing'}")
            time.sleep(0.01)

    def _config(self) -> str:
        """What it reads at its start; not arguments, which everybody on the machine can see."""
        lines = {
            "bind": self.host,
            "port": str(self.port),
            "dir": str(self.folder),
            "save": "",
            "appendonly": "yes" if self._options["keep"] else "no",
            "maxmemory": str(self._options["max_nbytes"] or 0),
            "maxmemory-policy": "noeviction",
            "daemonize": "no",
        }
        if self.password:
            lines["requirepass"] = self.password
        return "".join(f"{name} {quoted(value)}\n" for name, value in lines.items())

    def __enter__(self) -> "RedisServer":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def __repr__(self) -> str:
        return f"<redis server at {self.host}:{self.port}, {'running' if self.is_running() else 'stopped'}>"


def serve_redis(
    folder: str | os.PathLike[str] | None = None,
    *,
    host: str = "127.0.0.1",
    port: int | None = 6379,
    password: str | None = None,
    keep: bool = False,
    max_nbytes: int | None = None,
    report: Callable[[str], None] = lambda line: None,
) -> None:
    """Serve until Ctrl-C or SIGTERM; the arguments are those of `RedisServer`.

    Parameters
    ----------
    report
        Gets lines of text: where the server is.

    Raises
    ------
    ResourceError
        It does not start, or ended by itself.
    """
    server = RedisServer(folder, host=host, port=port, password=password, keep=keep, max_nbytes=max_nbytes)
    with server, _ended_by_signals() as ending:
        where = f"redis://{':<password>@' if password else ''}{server.host}:{server.port}"
        kept = f"in {server.folder}" if keep else "in memory only: gone when it ends"
        report(f"{where} (process {server.pid}); points are kept {kept}")
        while not ending.is_set():
            if server.wait(0.2) and not ending.is_set():
                raise ResourceError(f"the server ended by itself: {server.log[-500:].strip()}")


@contextlib.contextmanager
def _ended_by_signals() -> Iterator[threading.Event]:
    """An event that Ctrl-C and SIGTERM set, where this thread may hear of them."""
    ending = threading.Event()

    def end(*_which: Any) -> None:
        ending.set()

    if threading.current_thread() is not threading.main_thread():
        yield ending
        return
    before = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield ending
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
