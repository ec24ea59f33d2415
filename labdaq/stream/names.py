"""Streams found by name on this machine: one small file for each, in the private folder of the user."""

import json
import os
import re
import secrets
from pathlib import Path

from labdaq.errors import BusyError, LayoutError, NotFoundError, ResourceError
from labdaq.native.process import Identity, is_alive, this_process
from labdaq.stream.folder import runtime_folder

__all__ = ["address_of", "forget", "publish", "streams"]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def _path(name: str) -> Path:
    if not _NAME.fullmatch(name):
        raise LayoutError(f"name={name!r:.80}: up to 64 letters, digits, points, hyphens and underscores")
    return runtime_folder() / f"{name}.stream"


def publish(name: str, address: str) -> None:
    """Make a stream known. A name whose process has died is free again.

    Raises
    ------
    BusyError
        When a living process uses the name.
    """
    path = _path(name)
    known = _read(path)
    if known is not None and known[0] != address:
        raise BusyError(f"stream {name!r} is sent by process {known[1]} at {known[0]}: choose another name")
    process = this_process()
    text = json.dumps({"address": address, "pid": process.pid, "started": process.started})
    part = path.with_suffix(f".{secrets.token_hex(4)}")
    try:
        part.write_text(text)
        part.replace(path)
    except OSError as error:
        raise ResourceError.of(error, "publishing a stream", path) from error


def forget(name: str, address: str) -> None:
    """Take a name back, if it is still that of this address."""
    path = _path(name)
    known = _read(path)
    if known is not None and known[0] == address and known[1] == os.getpid():
        path.unlink(missing_ok=True)


def _read(path: Path) -> tuple[str, int] | None:
    """Address and pid of a stream; None when there is none, and its file goes when its process is dead."""
    try:
        content = json.loads(path.read_text())
        address, owner = str(content["address"]), Identity(int(content["pid"]), int(content["started"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if is_alive(owner):
        return address, owner.pid
    path.unlink(missing_ok=True)
    return None


def streams() -> dict[str, str]:
    """The named streams of this user on this machine: addresses by name.

    Examples
    --------
    >>> import labdaq.stream
    >>> with labdaq.stream.OutputStream() as out:
    ...     _ = out.configure(name="doc-example")
    ...     streams()["doc-example"] == out.address
    True
    """
    found = {path.stem: _read(path) for path in sorted(runtime_folder().glob("*.stream"))}
    return {name: known[0] for name, known in found.items() if known is not None}


def address_of(name: str) -> str:
    """The address of a named stream.

    Raises
    ------
    NotFoundError
        When there is none; lists those there are.
    """
    known = _read(_path(name))
    if known is None:
        raise NotFoundError(f"no stream {name!r} on this machine; there are: {', '.join(streams()) or 'none'}")
    return known[0]
