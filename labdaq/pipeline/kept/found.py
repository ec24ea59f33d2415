"""A run, found by its scan or by its folder."""

import contextlib
import logging
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from labdaq.errors import DataError, MissingExtraError, NotFoundError, ResourceError
from labdaq.pipeline.kept.open_run import OpenRun
from labdaq.pipeline.recording.scan_file import ScanFile, scan_file_of
from labdaq.store import DataStore, Scan

__all__ = ["StoreLike", "run_in", "run_of", "runs_of"]

logger = logging.getLogger("labdaq.pipeline")

StoreLike = str | os.PathLike[str]


def run_of(store: DataStore, scan: Scan) -> OpenRun:
    """The run that a scan is.

    Raises
    ------
    NotFoundError
        It is another scan.
    """
    name, number, path = (scan.identity.get(field) for field in ("name", "number", "path"))
    is_named = path is not None and Path(path).name == _folder_name(name, number)
    if number is None or path is None or not (is_named or _is_described(scan)):
        raise NotFoundError(f"scan {scan.key} ({name!r} {number}) is no run of a pipeline")
    folder, beside = Path(path), getattr(store.engine, "folder", None)
    if beside is not None and not folder.is_absolute():
        folder = (Path(beside) / folder).resolve()
    elif not folder.is_dir() and beside is not None:  # the store was moved, with all its runs
        folder = Path(beside) / folder.name
    return OpenRun(folder, str(name), int(number), scan, store)


def _is_described(scan: Scan) -> bool:
    """Whether it says what worked in it, as runs do; some have folders with names of their own."""
    configuration = scan.info.get("configuration")
    return isinstance(configuration, dict) and "workers" in configuration


def _folder_name(name: Any, number: Any) -> str:
    return f"{name}_{number:04d}" if isinstance(number, int) else ""


def runs_of(store: DataStore, keys: Iterable[str]) -> Iterator[OpenRun]:
    """Those of some scans that are runs; they are not closed one by one, but with the store."""
    for key in keys:
        with contextlib.suppress(NotFoundError):  # deleted meanwhile, or no run
            yield run_of(store, store.load_scan(key))


def run_in(folder: Path, store: StoreLike) -> OpenRun:
    """A run by its folder: with its scan, where that is found.

    Parameters
    ----------
    folder
        Of the run.
    store
        A URL is where the scan is looked for when the folder does not say it, or does not know the password.

    Raises
    ------
    NotFoundError
        There is no such folder.
    DataError
        It is none of a run, or damaged.
    """
    if not folder.is_dir():
        raise NotFoundError(f"there is no folder {folder}: give that of a run, its number, or its key")
    elsewhere = scan_file_of(folder)
    if elsewhere is not None and not elsewhere.is_url:
        return _recorded_in(elsewhere.store, elsewhere.key)
    if elsewhere is not None:
        return _open_far(folder, elsewhere, store)
    name, number = _called(folder)
    beside = folder.absolute().parent
    url = beside if (beside / "catalogue.db").is_file() else store if "://" in os.fspath(store) else None
    if url is not None:
        opened = DataStore(url, must_exist=True)
        try:
            keys = opened.search_existing_scans(name=name, number=number, order="newest")[1]
            for run in runs_of(opened, keys):
                if run.folder.name == folder.absolute().name:
                    run.folder = folder
                    return run
        except BaseException:
            opened.close()
            raise
        opened.close()
    return _alone(folder)


def _open_far(folder: Path, there: ScanFile, store: StoreLike) -> OpenRun:
    """A run whose scan is on a server; when that is not there any more, what its folder tells."""
    try:
        run = _recorded_in(store if "://" in os.fspath(store) else there.store, there.key)
    except (NotFoundError, ResourceError, MissingExtraError) as error:
        logger.warning("%s is opened without its scan, %s in %s: %s", folder, there.key, there.store, error)
        return _alone(folder)
    run.folder = folder
    return run


def _recorded_in(store: StoreLike, key: str) -> OpenRun:
    opened = DataStore(store, must_exist=True)
    try:
        return run_of(opened, opened.load_scan(key))
    except BaseException:
        opened.close()
        raise


def _called(folder: Path) -> tuple[str, int]:
    """Name and number that a folder has from its run."""
    name, _, number = folder.absolute().name.rpartition("_")
    if not name or not number.isdigit():
        raise DataError(f"{folder} is no folder of a run: these are called by name and number, as muon_0001")
    return name, int(number)


def _alone(folder: Path) -> OpenRun:
    """A run of which there is nothing but its folder."""
    if not (folder / "board").is_file():
        raise DataError(f"{folder} is no folder of a run: there is no board in it")
    return OpenRun(folder, *_called(folder), None, None)
