"""The private folder of this user for what runs now: sockets and the names of streams."""

import os
import stat
import tempfile
from pathlib import Path

from labdaq.errors import ResourceError

__all__ = ["runtime_folder"]


def runtime_folder() -> Path:
    """The folder, which only this user can enter; made when it is not there.

    ``$LABDAQ_RUNTIME``, else ``$XDG_RUNTIME_DIR/labdaq``, else ``labdaq-<user>`` among the temporary files.

    Raises
    ------
    ResourceError
        When it cannot be made, or others could look into it.

    Examples
    --------
    >>> stat.S_IMODE(runtime_folder().stat().st_mode) & 0o077
    0
    """
    given, system = os.environ.get("LABDAQ_RUNTIME"), os.environ.get("XDG_RUNTIME_DIR")
    user = os.getuid() if hasattr(os, "getuid") else 0
    if given:
        path = Path(given)
    else:
        path = Path(system) / "labdaq" if system else Path(tempfile.gettempdir()) / f"labdaq-{user}"
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = path.lstat()
    except OSError as error:
        raise ResourceError.of(error, "making the folder of running streams", path) from error
    is_safe = stat.S_ISDIR(found.st_mode) and not found.st_mode & 0o077 and found.st_uid == user
    if os.name == "posix" and not is_safe:
        raise ResourceError(
            f"{path} belongs to somebody else, or others may enter it: remove it, set its mode to 0700, or name "
            "another one in LABDAQ_RUNTIME"
        )
    return path
