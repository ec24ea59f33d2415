"""Notes that people make while a run goes on, each with its time: ``notes.txt``, a line for each."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from labdaq.errors import LayoutError, ResourceError
from labdaq.files.table import reading

__all__ = ["NOTES_FILE", "Note", "checked_note", "kept_notes", "notes_in", "write_note"]

NOTES_FILE = "notes.txt"


@dataclass(frozen=True)
class Note:
    """What somebody wanted to remember of a moment of a run.

    Examples
    --------
    >>> print(Note(datetime(2026, 1, 31, 12, 0, 1, 500_000, UTC), "high voltage up to 1.2 kV"))
    2026-01-31T12:00:01.500+00:00 high voltage up to 1.2 kV
    """

    time: datetime
    """UTC, to a millisecond."""
    text: str

    def __str__(self) -> str:
        return f"{self.time.isoformat(timespec='milliseconds')} {self.text}"


def checked_note(text: str) -> Note:
    """A note of this moment; its text becomes one line.

    Raises
    ------
    LayoutError
        There is nothing in it.
    """
    line = " ".join(str(text).split())
    if not line:
        raise LayoutError(f"a note of {text!r} says nothing: write some words")
    return Note(datetime.now(UTC), line)


def write_note(folder: Path, note: Note) -> None:
    """Append a note to those of a run.

    Raises
    ------
    ResourceError
        The system refuses it.
    """
    try:
        with (folder / NOTES_FILE).open("a", encoding="utf-8") as file:
            file.write(f"{note}\n")
    except OSError as error:
        raise ResourceError.of(error, "keeping a note", folder / NOTES_FILE) from error


def notes_in(folder: Path) -> list[Note]:
    """The notes of a run as its folder has them, the first one first; a line that was cut is passed over.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> write_note(folder, checked_note("rain"))
    >>> [note.text for note in notes_in(folder)]
    ['rain']
    """
    path = folder / NOTES_FILE
    if not path.exists():
        return []
    with reading(path, "a file of notes", UnicodeDecodeError):
        lines = path.read_text(encoding="utf-8").splitlines()
    return list(kept_notes({"time": time, "text": text} for time, _, text in (line.partition(" ") for line in lines)))


def kept_notes(said: Iterable[Mapping[str, Any]]) -> Iterable[Note]:
    """Notes as the record of a run holds them."""
    for one in said:
        try:
            time = datetime.fromisoformat(str(one["time"]))
        except ValueError:
            continue
        yield Note(time, str(one["text"]))
