"""The folder of a run: a new one for each, with copies of the files that it was set up from."""

import shutil
import time
from pathlib import Path

from labdaq.compat.mimocorb.suite import Suite
from labdaq.errors import ResourceError

__all__ = ["new_run_folder", "store_of"]

_RUNS, _SCANS = "runs", "scans"


def store_of(suite: Suite) -> Path:
    """The store in which the runs of a suite are scans: ``runs`` beside its file.

    Where other things are kept in ``runs``, as by a suite that puts its data there, it is ``runs/scans``.
    """
    place = suite.folder / _RUNS
    is_used = place.is_dir() and any(place.iterdir()) and not (place / "catalogue.db").is_file()
    is_target = suite.output_directory.absolute() == place.absolute()
    return place / _SCANS if is_used or is_target else place


def new_run_folder(suite: Suite, now: time.struct_time | None = None) -> Path:
    """Make the folder of a run: ``<output_directory>/<suite>_<date>_<time>``, and a number if there is one.

    The name of the suite is that of its file, up to ``setup``. For mimoCoRB2 it is ``run``, and the time has seconds.

    Raises
    ------
    ResourceError
        When the system refuses.
    """
    stem, found, _ = suite.path.stem.partition("setup")
    beginning = "run_" if suite.shares_events else stem if found else f"{stem}_"
    when = "%Y-%m-%d_%H-%M-%S" if suite.shares_events else "%Y-%m-%d_%H%M"
    name = beginning + time.strftime(when, now or time.localtime())
    try:
        suite.output_directory.mkdir(mode=0o770, parents=True, exist_ok=True)
        folder = _made(suite.output_directory, name)
        taken: dict[str, Path] = {}
        for file in (suite.path, *suite.config_files):
            own = file.name if taken.setdefault(file.name, file) == file else f"{file.parent.name}_{file.name}"
            shutil.copyfile(file, folder / own)
    except OSError as error:
        raise ResourceError.of(error, "making the folder of the run", suite.output_directory) from error
    return folder


def _made(parent: Path, name: str) -> Path:
    number = 1
    while True:
        folder = parent / (name if number == 1 else f"{name}_{number}")
        try:
            folder.mkdir(mode=0o770)
        except FileExistsError:
            number += 1
        else:
            return folder
