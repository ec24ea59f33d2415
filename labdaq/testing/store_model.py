"""What a store is, in lists and dictionaries: obviously right, and nothing of it is kept anywhere."""

from dataclasses import dataclass, field
from typing import Any

from labdaq.errors import BusyError, LabdaqError
from labdaq.store import (
    Cursor,
    IndexNoMoreThereError,
    IndexNotYetThereError,
    IndexWontBeThereError,
    Scan,
    ScanState,
    StateError,
    Stream,
)

__all__ = ["Head", "ModelScan", "ModelStream", "Viewer"]

BEFORE = {"prepare": ScanState.CREATED, "start": ScanState.PREPARED, "stop": ScanState.STARTED}

Refusal = type[BaseException] | None


@dataclass
class ModelStream:
    """A stream: all points that were ever sent, and who may send."""

    scan: "ModelScan"
    kind: str
    key: str
    handles: dict[int, Stream]
    """By the number of the store object: to write through it."""
    heads: "dict[int, Head]" = field(default_factory=dict)
    points: list[Any] = field(default_factory=list)
    batches: list[int] = field(default_factory=list)
    """Where each batch begins."""
    first: int = 0
    sealed: bool = False
    writer: int | None = None
    """The store object through which it is being written."""

    def refuses_points(self, through: int) -> Refusal:
        """What sending through a store object raises."""
        if self.scan.deleted:
            return LabdaqError
        if self.sealed:
            return StateError
        return None if self.writer in {None, through} else BusyError

    def number_of(self, index: int) -> int:
        """Which point an index means."""
        return index + len(self.points) if index < 0 and self.sealed else index

    def refuses_index(self, index: int) -> Refusal:
        """What reading a point raises."""
        number = self.number_of(index)
        if not 0 <= number < len(self.points):
            return IndexWontBeThereError if self.sealed else IndexNotYetThereError
        return IndexNoMoreThereError if number < self.first else None

    def refuses_slice(self, wanted: slice) -> Refusal:
        """What reading points raises."""
        if not self.sealed and any(end is not None and end < 0 for end in (wanted.start, wanted.stop)):
            return IndexNotYetThereError
        numbers = range(len(self.points))[wanted]
        return IndexNoMoreThereError if any(number < self.first for number in numbers) else None

    def sent(self, points: list[Any], through: int) -> None:
        """What a batch does."""
        self.batches.append(len(self.points))
        self.points += points
        self.writer = through


@dataclass
class ModelScan:
    """A scan: what its driver has, and what others see."""

    number: int
    name: str
    tag: str
    driver: Scan | None
    """None when the store object that made it was closed."""
    through: int
    state: ScanState = ScanState.CREATED
    info: dict[str, Any] = field(default_factory=dict)
    streams: dict[str, ModelStream] = field(default_factory=dict)
    told_info: dict[str, Any] = field(default_factory=dict)
    told_streams: tuple[str, ...] = ()
    deleted: bool = False
    key: str = ""

    def refuses_step(self, step: str) -> Refusal:
        """What a step raises."""
        if step == "close":
            return LabdaqError if self.deleted and self.state != ScanState.CLOSED else None
        if self.state != BEFORE[step] or (step != "prepare" and self.info != self.told_info):
            return StateError
        return LabdaqError if self.deleted else None

    def step(self, step: str) -> None:
        """What a step does."""
        if self.state == ScanState.CLOSED:
            return
        if step in {"stop", "close"}:
            for stream in self.streams.values():
                if stream.writer in {None, self.through}:
                    stream.sealed, stream.writer = True, None
        self.state = ScanState.CLOSED if step == "close" else ScanState(BEFORE[step] + 1)
        self.told_info = dict(self.info)
        self.told_streams = tuple(self.streams)


@dataclass
class Head:
    """A cursor, and where it should be."""

    cursor: Cursor
    position: int = 0
    skipped: int = 0


@dataclass
class Viewer:
    """A scan that was loaded, and what it should show."""

    seen: Scan
    through: int
    scan: ModelScan
    shown: tuple[ScanState, dict[str, Any], tuple[str, ...]]
