"""A device has one user at a time, in all processes of a user of this machine.

The lock is one of the operating system on a file in the user's runtime folder, so that it goes with the process
that holds it, however that ends. In the file is written who holds it.
"""

import contextlib
import hashlib
import json
import os
import re
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from labdaq.errors import BusyError, ResourceError
from labdaq.native.process import Identity, is_alive, this_process

__all__ = ["held", "holder_of", "lent"]

_LARGEST = 4096  # of what is written about the holder
_WINDOWS_BYTE = 1 << 20  # Windows forbids to read what is locked: lock a byte behind what is written

_open_here: set[IO[bytes]] = set()
_lent = threading.local()  # the device that is held for what this thread calls


@contextlib.contextmanager
def held(device: str, run: str = "") -> Iterator[None]:
    """Be the only user of a device.

    Parameters
    ----------
    device
        Its name; any text.
    run
        Name of the run that uses it, for those who want it, too.

    Raises
    ------
    BusyError
        Somebody else has it, in this process or another; the message names who.
    ResourceError
        The file of the lock cannot be made.

    Examples
    --------
    >>> with held("scope 7", run="muons"):
    ...     with held("scope 7"):
    ...         pass
    Traceback (most recent call last):
    labdaq.errors.BusyError: 'scope 7' is used by ... (process ...) for the run 'muons': close it there first
    """
    if getattr(_lent, "device", None) == device:
        yield
        return
    path = _path(device)
    try:
        file = os.fdopen(
            os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o600), "r+b", buffering=0
        )
    except OSError as error:
        raise ResourceError.of(error, "opening the lock of a device", path) from error
    with file:
        if not _lock(file):
            raise BusyError(f"{device!r} is used by {holder_of(device) or 'another process'}: close it there first")
        _open_here.add(file)
        try:
            _write(file, {**_me(), "run": run})
            yield
        finally:
            _open_here.discard(file)
            if not file.closed:  # else this is a child that was forked meanwhile; the lock is not its own
                _write(file, {})
                _unlock(file)


@contextlib.contextmanager
def lent(device: str, run: str = "") -> Iterator[None]:
    """Be the only user of a device, and lend it to what is called in this thread: there `held` finds it free.

    So it can be held for a source which may hold it itself. Parameters and errors are those of `held`.

    Examples
    --------
    >>> with lent("scope 9", run="muons"), held("scope 9"):
    ...     print("its own")
    its own
    """
    with held(device, run):
        _lent.device = device
        try:
            yield
        finally:
            _lent.device = None


def holder_of(device: str) -> str | None:
    """Who uses a device now, for people; None: nobody who said so.

    Examples
    --------
    >>> holder_of("scope 8")
    """
    try:
        found = json.loads(_path(device).read_bytes()[:_LARGEST] or b"{}")
        holder = Identity(int(found["pid"]), int(found["started"]))
        text = f"{found['process']} (process {holder.pid})"
        run = str(found.get("run", ""))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    if not is_alive(holder):  # killed: the system has opened its locks
        return None
    return text + (f" for the run {run!r}" if run else "")


def _me() -> dict[str, object]:
    me = this_process()
    return {"pid": me.pid, "started": me.started, "process": Path(sys.argv[0]).name or "python"}


def _write(file: IO[bytes], holder: dict[str, object]) -> None:
    with contextlib.suppress(OSError):  # a full disk: it holds the device, and cannot say so
        file.seek(0)
        file.truncate()
        file.write(json.dumps(holder).encode()[:_LARGEST])


def _path(device: str) -> Path:
    """The file of a device: a name that one can read, and one that is unique."""
    readable = re.sub(r"[^A-Za-z0-9]+", "-", device)[:40].strip("-")
    digest = hashlib.sha256(device.encode()).hexdigest()[:12]
    return _folder() / f"{readable}-{digest}.lock"


def _folder() -> Path:
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    user = os.getuid() if hasattr(os, "getuid") else None
    folder = Path(runtime) / "labdaq" if runtime else Path(tempfile.gettempdir()) / f"labdaq_devices_{user or 0}"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        owner = folder.stat().st_uid
    except OSError as error:
        raise ResourceError.of(error, "making the folder of the locks", folder) from error
    if user is not None and owner != user:
        raise ResourceError(f"{folder} belongs to another user ({owner}): remove it, or set XDG_RUNTIME_DIR")
    return folder


if sys.platform == "win32":
    import msvcrt

    def _lock(file: IO[bytes]) -> bool:
        file.seek(_WINDOWS_BYTE)
        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

    def _unlock(file: IO[bytes]) -> None:
        file.seek(_WINDOWS_BYTE)
        msvcrt.locking(file.fileno(), msvcrt.LK_UNLCK, 1)

else:
    import fcntl

    def _lock(file: IO[bytes]) -> bool:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _unlock(file: IO[bytes]) -> None:
        fcntl.flock(file, fcntl.LOCK_UN)

    def _let_go() -> None:
        """In a forked child: a lock lives as long as any copy of its descriptor, and its holder may be killed."""
        for file in _open_here:
            file.close()
        _open_here.clear()

    os.register_at_fork(after_in_child=_let_go)
