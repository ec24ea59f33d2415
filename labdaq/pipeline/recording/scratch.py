"""Folders of runs that are not kept: they go away with the run, or, when it was killed, before the next one."""

import contextlib
import os
import re
import shutil
import tempfile
from pathlib import Path

from labdaq.errors import ResourceError
from labdaq.native.process import Identity, is_alive, this_process
from labdaq.pipeline.recording.owner import process_space

__all__ = ["remove_leftovers", "scratch_folder", "scratch_leftovers"]

_NAME = re.compile(r"labdaq-run-(\d+)-(\d+)-(\d+)-.+")


def scratch_folder() -> Path:
    """A new folder for a run that is not kept; folders of processes that died are removed.

    Raises
    ------
    ResourceError
        The system refuses it.
    """
    remove_leftovers()
    me = this_process()
    try:
        return Path(tempfile.mkdtemp(prefix=f"labdaq-run-{process_space()}-{me.pid}-{me.started}-"))
    except OSError as error:
        raise ResourceError.of(error, "making a folder for the run", tempfile.gettempdir()) from error


def scratch_leftovers() -> list[Path]:
    """Folders of this user whose process has died.

    Containers may share the folder for temporary files, and do not see each other's processes: folders that were made
    where other processes are seen are left alone.
    """
    place, found = process_space(), []
    with contextlib.suppress(OSError):
        for path in sorted(Path(tempfile.gettempdir()).glob("labdaq-run-*")):
            made = _NAME.fullmatch(path.name)
            if made is None or int(made[1]) != place or is_alive(Identity(int(made[2]), int(made[3]))):
                continue
            with contextlib.suppress(OSError):
                if not hasattr(os, "getuid") or path.lstat().st_uid == os.getuid():
                    found.append(path)
    return found


def remove_leftovers() -> list[Path]:
    """Remove the folders of runs that were killed; which these were."""
    found = scratch_leftovers()
    for path in found:
        shutil.rmtree(path, ignore_errors=True)
    return [path for path in found if not path.exists()]
