"""The sequences of a ring: a table in the control block, their headers in an arena behind it.

A ring keeps its last 512 sequences, or fewer if their headers are large. Beginning one waits until the
oldest is no longer needed by any guaranteed reader.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from labdaq.errors import LayoutError
from labdaq.native import jit
from labdaq.native.faults import fault_point
from labdaq.ring import words as w
from labdaq.ring.control import Control, end_of_claims, swap
from labdaq.ring.reading_steps import sequence_address
from labdaq.ring.sequencer import freeze
from labdaq.ring.writing_steps import oldest_needed

__all__ = ["Header", "Setup", "begin", "end", "find", "log_hole", "logged_holes", "snapshots"]


class Header(Mapping[str, Any]):
    """The header of a sequence: a read-only mapping, and the JSON text it was made from.

    Examples
    --------
    >>> header = Header(b'{"gain": 20}')
    >>> header["gain"], header.tobytes()
    (20, b'{"gain": 20}')
    """

    def __init__(self, raw: bytes) -> None:
        self._raw = raw
        self._parsed: dict[str, Any] | None = None

    @classmethod
    def encode(cls, header: "Mapping[str, Any] | str | bytes | Header | None") -> "Header":
        """Check a header: a mapping of JSON values, or JSON text of one (UTF-8).

        Raises
        ------
        LayoutError
            When it is neither.
        """
        if header is None:
            return cls(b"{}")
        if isinstance(header, Header):
            return header
        try:
            raw: Any = header.encode() if isinstance(header, str) else header
            if isinstance(raw, Mapping):
                raw = json.dumps(dict(raw)).encode()
            result = cls(bytes(memoryview(raw)))  # a memoryview takes no numbers or lists, as bytes() would
            result._parse()
        except (TypeError, ValueError) as error:
            raise LayoutError(f"header {header!r:.80} is neither a mapping of JSON values nor JSON: {error}") from error
        return result

    def _parse(self) -> dict[str, Any]:
        if self._parsed is None:
            parsed = json.loads(self._raw) if self._raw.strip() else {}
            if not isinstance(parsed, dict):
                raise LayoutError(f"header {self._raw[:80]!r} is no JSON object: give key and value pairs")
            self._parsed = parsed
        return self._parsed

    def tobytes(self) -> bytes:
        """The JSON text, UTF-8, exactly as it was given."""
        return self._raw

    def __getitem__(self, key: str) -> Any:
        return self._parse()[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._parse())

    def __len__(self) -> int:
        return len(self._parse())

    def __repr__(self) -> str:
        return f"Header({self._parse()!r})"


@dataclass(frozen=True)
class Setup:
    """What is written into the table when a sequence begins, and read from it."""

    number: int
    """Counts the sequences of a ring from 0."""
    begin: int
    """First frame of the ring that belongs to it."""
    time_tag: int
    frame: int
    """Ring frames per frame of the sequence: 1, or the size of its tensor in a ring of bytes."""
    row: int
    """Row of the planes that belongs to its first frame."""
    name: str
    tensor: dict[str, Any] | None
    planes: tuple[str, ...]
    header: Header
    address: int
    """Of the table entry: its end is there once it is known."""


@jit
def _oldest_needed(block: int) -> int:
    return oldest_needed(block)


@jit
def _address(block: int, number: int) -> int:
    return sequence_address(block, number)


def snapshots(control: Control) -> Iterator[Setup]:
    """The sequences that are still in the table, oldest first."""
    count = control[w.SEQUENCE_COUNT]
    for number in range(max(0, count - w.SEQUENCE_SLOTS), count):
        setup = find(control, number)
        if setup is not None:
            yield setup


def find(control: Control, number: int) -> Setup | None:
    """The sequence with a number, None when it is no longer, or not yet, in the table."""
    if not 0 <= number < control[w.SEQUENCE_COUNT]:
        return None
    entry = _address(control.address, number)
    if control.at(entry + w.Q_NUMBER) != number:
        return None
    position, nbytes = control.at(entry + w.Q_SETUP), control.at(entry + w.Q_SETUP_NBYTES)
    raw = _read_arena(control, position, nbytes + control.at(entry + w.Q_HEADER_NBYTES))
    fields = {
        name: control.at(entry + offset)
        for name, offset in (
            ("begin", w.Q_BEGIN),
            ("time_tag", w.Q_TIME_TAG),
            ("frame", w.Q_FRAME),
            ("row", w.Q_ROW),
        )
    }
    # who recycles an entry takes the number away first, and who writes over a text announces it by the head:
    # if both are as they were, all that was read is whole
    if control.at(entry + w.Q_NUMBER) != number or control[w.ARENA_HEAD] > position + w.ARENA_SIZE:
        return None
    setup = json.loads(raw[:nbytes])
    return Setup(
        number=number,
        address=entry,
        header=Header(raw[nbytes:]),
        name=setup["name"],
        tensor=setup["tensor"],
        planes=tuple(setup["planes"]),
        **fields,
    )


def end_of(control: Control, setup: Setup) -> int | None:
    """Where a sequence ended; None while it is open."""
    end = control.at(setup.address + w.Q_END)
    if control.at(setup.address + w.Q_NUMBER) != setup.number:
        following = find(control, setup.number + 1)
        return following.begin if following else setup.begin
    return None if end == w.OPEN_END else end


def has_room(control: Control, nbytes: int) -> bool:
    """Whether a sequence with so many bytes of texts can begin now.

    Raises
    ------
    LayoutError
        When it never can.
    """
    if nbytes > w.ARENA_SIZE // 2:
        raise LayoutError(f"the header has {nbytes} bytes, and at most {w.ARENA_SIZE // 2} fit into a ring")
    count = control[w.SEQUENCE_COUNT]
    needed = _oldest_needed(control.address)
    first = count  # oldest sequence that some reader may still want
    while first > max(0, count - w.SEQUENCE_SLOTS):
        if first < count and control.at(_address(control.address, first) + w.Q_BEGIN) <= needed:
            break
        first -= 1
    if count - first >= w.SEQUENCE_SLOTS:
        return False
    if first == count:
        return True
    oldest_text = control.at(_address(control.address, first) + w.Q_SETUP)
    return _arena_start(control[w.ARENA_HEAD], nbytes) + nbytes - oldest_text <= w.ARENA_SIZE


def begin(
    control: Control, owner: int, texts: tuple[bytes, bytes], time_tag: int, frame: int, *, is_typed: bool
) -> int:
    """Begin a sequence at the end of what is claimed; its number. The ring must be locked, with room.

    No claim is half in one sequence and half in the next: they are kept from being made meanwhile.
    """
    number = control[w.SEQUENCE_COUNT]
    writers = control.writers
    entry = _address(control.address, number)
    control.put(entry + w.Q_NUMBER, -1)
    setup, header = texts
    position = _write_arena(control, setup + header)
    freeze(writers, w.CLAIM_SLOTS)
    first = end_of_claims(writers)
    fields = {
        w.Q_BEGIN: first,
        w.Q_END: w.OPEN_END,
        w.Q_TIME_TAG: time_tag,
        w.Q_FRAME: frame,
        w.Q_ROW: first if is_typed else _next_row(control, number),
        w.Q_SETUP: position,
        w.Q_SETUP_NBYTES: len(setup),
        w.Q_HEADER_NBYTES: len(header),
        w.Q_TRUNCATED: 0,
        w.Q_WRITER: owner,
    }
    for offset, value in fields.items():
        control.put(entry + offset, value)
    control.put(entry + w.Q_NUMBER, number)
    control[w.LAST_BEGIN] = first  # before the count: one who dies in between leaves a border nobody crosses
    fault_point()
    control[w.SEQUENCE_COUNT] = number + 1
    fault_point()
    control.unfreeze(writers)
    return number


def end(control: Control, number: int, *, is_truncated: bool = False) -> None:
    """End a sequence at the end of what is claimed. The ring must be locked."""
    entry = _address(control.address, number)
    if control.at(entry + w.Q_NUMBER) != number or control.at(entry + w.Q_END) != w.OPEN_END:
        return
    control.put(entry + w.Q_TRUNCATED, int(is_truncated))
    control.put(entry + w.Q_END, end_of_claims(control.writers))
    if is_truncated:
        control[w.TRUNCATED] += 1
    control.wake_all()


def _next_row(control: Control, number: int) -> int:
    before = find(control, number - 1)
    if before is None:
        return 0
    if not before.planes:  # nothing was stored in its rows, and in frames of another size they would be too many
        return before.row
    last = end_of(control, before)
    length = (control[w.LAST_BEGIN] if last is None else last) - before.begin
    return before.row + -(-length // before.frame)


def _arena_start(head: int, nbytes: int) -> int:
    """Texts do not wrap: where the next one goes."""
    return head if head % w.ARENA_SIZE + nbytes <= w.ARENA_SIZE else -(-head // w.ARENA_SIZE) * w.ARENA_SIZE


def _write_arena(control: Control, raw: bytes) -> int:
    position = _arena_start(control[w.ARENA_HEAD], len(raw))
    start = control[w.ARENA] + position % w.ARENA_SIZE
    control[w.ARENA_HEAD] = position + len(raw)  # first: those who read what was there must know
    control.bytes[start : start + len(raw)] = raw
    return position


def _read_arena(control: Control, position: int, nbytes: int) -> bytes:
    start = control[w.ARENA] + position % w.ARENA_SIZE
    return bytes(control.bytes[start : start + nbytes])


# ------------------------------------------------------------------------------- holes in rings of bytes


def log_hole(control: Control, start: int, stop: int, oldest: int) -> bool:
    """Note frames of a ring of bytes that were claimed and never filled; False when the log is full."""
    count = control[w.HOLE_COUNT]
    place = control.address + control[w.HOLES] + 16 * (count % w.HOLE_SLOTS)
    if count >= w.HOLE_SLOTS and control.at(place + 8) > oldest:
        return False
    control.put(place, start)
    control.put(place + 8, stop)
    swap(control.address + w.HOLE_COUNT, count, count + 1)
    return True


def logged_holes(control: Control, start: int, stop: int) -> list[tuple[int, int]]:
    """The holes between two frames."""
    count = control[w.HOLE_COUNT]
    holes = []
    for number in range(max(0, count - w.HOLE_SLOTS), count):
        place = control.address + control[w.HOLES] + 16 * (number % w.HOLE_SLOTS)
        first, last = max(start, control.at(place)), min(stop, control.at(place + 8))
        if first < last:
            holes.append((first, last))
    return sorted(holes)
