"""How a run whose folder is not in that of its store is found: a small file in the folder, with store and scan.

Paths are relative where that is possible, so that folder and store can be moved together. A URL is written without
its password, which who opens the run has to know.
"""

import json
import os
from dataclasses import dataclass
from pathlib import Path

from labdaq.errors import DataError, ResourceError

__all__ = ["ScanFile", "relative", "scan_file_of"]

_NAME = "scan.json"


@dataclass(frozen=True)
class ScanFile:
    """Where the scan of a run is."""

    store: str
    """Folder, or URL without a password."""
    key: str

    @property
    def is_url(self) -> bool:
        """Whether the store is no folder of this machine."""
        return _is_url(self.store)

    def write(self, folder: Path) -> None:
        """Write it down in the folder of the run.

        Raises
        ------
        ResourceError
            The system refuses the file.
        """
        place = self.store if self.is_url else relative(Path(self.store), folder)
        try:
            (folder / _NAME).write_text(json.dumps({"store": place, "key": self.key}), encoding="utf-8")
        except OSError as error:
            raise ResourceError.of(error, "writing down where the scan of the run is", folder) from error


def scan_file_of(folder: Path) -> ScanFile | None:
    """Where the scan of a run is; None when its folder does not say so.

    Raises
    ------
    DataError
        The file is damaged.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> scan_file_of(folder) is None
    True
    >>> ScanFile("redis://localhost", "labdaq:scan:1").write(folder)
    >>> scan_file_of(folder).key
    'labdaq:scan:1'
    """
    path = folder / _NAME
    try:
        about = json.loads(path.read_text(encoding="utf-8"))
        store, key = str(about["store"]), str(about["key"])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} is damaged: {error!r}") from error
    return ScanFile(store if _is_url(store) else str((folder / store).resolve()), key)


def relative(path: Path, base: str | Path) -> str:
    """A path as it is seen from a folder; absolute where there is no way, as between two drives.

    Examples
    --------
    >>> Path(relative(Path("target/a"), "runs")).as_posix()
    '../target/a'
    """
    try:
        return os.path.relpath(path, base)
    except ValueError:
        return str(path.absolute())


def _is_url(store: str) -> bool:
    return "://" in store
