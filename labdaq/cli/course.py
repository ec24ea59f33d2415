"""The course, copied next to one's own work, and copied again when there is a newer one."""

import hashlib
import json
import shutil
from dataclasses import dataclass
from pathlib import Path

from labdaq.errors import LayoutError, NotFoundError, ResourceError

__all__ = ["CopiedCourse", "copy_course", "course_folder"]

_PACKAGE = Path(__file__).resolve().parent.parent
_PLACES = (_PACKAGE / "course", _PACKAGE.parent / "notebooks")
"""In what is installed; in a checkout."""
_FIRST = ("index.ipynb", "00_start.ipynb")
_COPIED = ".labdaq-course.json"
"""Which bytes were copied: a file that still has them was not changed by anybody."""


@dataclass(frozen=True)
class CopiedCourse:
    """What `copy_course` did."""

    folder: Path
    copied: tuple[str, ...]
    """New, or newer than what was there and had not been changed."""
    kept: tuple[str, ...]
    """Changed by somebody, and left as they are."""

    @property
    def first(self) -> Path:
        """The page to begin with."""
        there = [self.folder / name for name in _FIRST if (self.folder / name).is_file()]
        return there[0] if there else self.folder

    def __str__(self) -> str:
        lines = [f"the course is in {self.folder}: {len(self.copied)} files are new"]
        if self.kept:
            lines.append(f"changed by you, and left as they are: {', '.join(self.kept)}")
        return "\n".join(lines)


def course_folder() -> Path:
    """Where the notebooks are that labdaq brings.

    Raises
    ------
    NotFoundError
        They were not installed.
    """
    for place in _PLACES:
        if any(place.glob("*.ipynb")):
            return place
    raise NotFoundError(f"the course is not installed: it is neither in {' nor in '.join(map(str, _PLACES))}")


def copy_course(folder: Path) -> CopiedCourse:
    """Copy the course into a folder; nothing that somebody changed is overwritten.

    Parameters
    ----------
    folder
        New, or one with other work in it, or with an older course.

    Raises
    ------
    NotFoundError
        The course is not installed.
    LayoutError
        The folder is a file.
    ResourceError
        It cannot be written.
    """
    source = course_folder()
    if folder.exists() and not folder.is_dir():
        raise LayoutError(f"{folder} is a file: choose another name")
    copied, kept = [], []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        known = _known(folder / _COPIED)
        for path in _files(source):
            name = path.relative_to(source).as_posix()
            theirs, wanted = _digest(folder / name), _digest(path)
            if theirs not in {"", wanted, known.get(name)}:
                kept.append(name)
                continue
            known[name] = wanted
            if theirs != wanted:
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, folder / name)
                copied.append(name)
        (folder / _COPIED).write_text(json.dumps(known, indent=1, sort_keys=True), encoding="utf-8")
    except OSError as error:
        raise ResourceError.of(error, "copying the course", folder) from error
    return CopiedCourse(folder, tuple(copied), tuple(kept))


def _files(source: Path) -> list[Path]:
    found = (path for path in source.rglob("*") if path.is_file())
    hidden = (".", "__pycache__")
    return sorted(path for path in found if not any(p.startswith(hidden) for p in path.relative_to(source).parts))


def _digest(path: Path) -> str:
    """Empty when there is no such file."""
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""


def _known(path: Path) -> dict[str, str]:
    """What was copied before; nothing when that is not known any more."""
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}
