"""Faults of embedded stores: writers that are killed, and file operations that fail.

A victim says what it is about to do, and what was acknowledged; a `Ledger` holds the store against that. Killing
forks, so call it from a process that has no threads; ``python -m labdaq.testing.store_faults FOLDER`` does so.
"""

import argparse
import json
import os
import random
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

import labdaq.store.embedded.segments as segments_module
from labdaq.errors import LabdaqError, ScanNotFoundError
from labdaq.native.faults import fail_files
from labdaq.store import DataStore, JsonStreamEncoder, NumericStreamEncoder, Scan, Stream
from labdaq.store.states import ScanState
from labdaq.testing.faults import _fork

__all__ = ["KINDS", "FileFault", "Ledger", "StoreKillReport", "Victim", "failing", "kill_store_writers", "points_of"]

KINDS: dict[str, Any] = {
    "scalar": NumericStreamEncoder("f8"),
    "vector": NumericStreamEncoder("i4", (256,)),
    "ragged": NumericStreamEncoder("f8", (-1,)),
    "json": JsonStreamEncoder(),
}
SMALL_SEGMENT_NBYTES = 8192
_LONG = 1500  # points after which a stream is sealed
_MANY = 8  # streams at once
_REMEMBERED = 40  # streams that are looked at again and again after they were sealed


def points_of(kind: str, start: int, count: int) -> Any:
    """What a stream of a kind holds: known from the number of each point alone."""
    numbers = np.arange(start, start + count)
    if kind == "scalar":
        return numbers * 0.5
    if kind == "vector":
        return (numbers[:, None] * 256 + np.arange(256)).astype("i4")
    if kind == "ragged":
        return [np.arange(n, n + n % 5, dtype="f8") for n in numbers.tolist()]
    return [{"i": n, "text": "µ" * (n % 7)} for n in numbers.tolist()]


def same_points(kind: str, found: Any, start: int, count: int) -> bool:
    """Whether these are the points, bit by bit."""
    expected = points_of(kind, start, count)
    if kind == "json":
        return bool(found == expected)
    if len(found) != count:
        return False
    return all(a.dtype == b.dtype and a.tobytes() == b.tobytes() for a, b in zip(found, expected, strict=True))


# ------------------------------------------------------------------------------------- file operations


class FileFault:
    """What `failing` does at the n-th operation on a file: raises the error, or kills this process.

    Attributes
    ----------
    count : int
        Operations so far.
    names : list of str
        What they were.
    """

    def __init__(self, n: int, error: int | None) -> None:
        self.n = n
        self.error = error
        self.count = 0
        self.names: list[str] = []

    def __call__(self, name: str) -> None:
        """Called before each operation."""
        self.count += 1
        self.names.append(name)
        if self.count == self.n:
            if self.error is None:
                os.kill(os.getpid(), signal.SIGKILL)
            else:
                raise OSError(self.error, os.strerror(self.error))

    @property
    def was_hit(self) -> bool:
        """Whether it came to the n-th."""
        return self.count >= self.n


@contextmanager
def failing(n: int, error: int | None = None) -> Iterator[FileFault]:
    """Let the n-th operation on a file fail with an error number; None kills this process there."""
    fault = FileFault(n, error)
    fail_files(fault)
    try:
        yield fault
    finally:
        fail_files(None)


# --------------------------------------------------------------------------------- what was promised


@dataclass
class _StreamState:
    kind: str
    scan: str
    length: int = 0
    in_flight: int = 0
    is_sealing: bool = False
    is_sealed: bool = False
    trimmed: int = 0


@dataclass
class Ledger:
    """What victims announced, and what was acknowledged to them."""

    streams: dict[str, _StreamState] = field(default_factory=dict)
    scans: dict[str, int] = field(default_factory=dict)
    deleting: set[str] = field(default_factory=set)
    points: int = 0

    def note(self, what: str, key: str, value: Any = None) -> None:
        """One thing that a victim said."""
        if what == "scan":
            self.scans[key] = value
        elif what == "stream":
            self.streams[key] = _StreamState(*value)
        elif what == "deleting":
            self.deleting.add(key)
        else:
            self._note_stream(what, self.streams[key], value)

    def _note_stream(self, what: str, stream: _StreamState, value: Any) -> None:
        if what == "sending":
            stream.in_flight = value
        elif what == "sent":
            self.points += stream.in_flight
            stream.length, stream.in_flight = value, 0
        elif what == "trimming":
            stream.trimmed = max(stream.trimmed, value)
        elif what == "sealing":
            stream.is_sealing = True
        elif what == "sealed":
            stream.is_sealed = True

    def check(self, store: DataStore) -> list[str]:
        """What is wrong with the store, in words. What was in flight is settled after it."""
        states = list(self.scans.items())
        wrong = [f"scan {key}: {text}" for key, state in states if (text := self._scan(store, key, state))]
        for key, stream in list(self.streams.items()):
            if stream.scan not in self.scans:
                del self.streams[key]
            elif text := self._stream(store, key, stream):
                wrong.append(f"{stream.kind} stream {key}: {text}")
        return wrong

    def forget(self, keep: int) -> None:
        """Look no more at the oldest streams that were sealed."""
        sealed = [key for key, stream in self.streams.items() if stream.is_sealed]
        for key in sealed[: max(0, len(sealed) - keep)]:
            del self.streams[key]

    def _scan(self, store: DataStore, key: str, state: int) -> str:
        try:
            found = store.load_scan(key).state
        except ScanNotFoundError:
            if key not in self.deleting:
                return "is gone"
            del self.scans[key]
            return ""
        if not state <= found <= max(state + 1, ScanState.CLOSED if key in self.deleting else 0):
            return f"is {found}, not {state}"
        self.scans[key] = int(found)
        return ""

    def _stream(self, store: DataStore, key: str, stream: _StreamState) -> str:
        seen = store.open_stream(key)
        try:
            first, length, is_sealed = seen.extent()
            if length not in {stream.length, stream.length + stream.in_flight}:
                return f"has {length} points; {stream.length} were acknowledged, {stream.in_flight} in flight"
            if is_sealed != stream.is_sealed and not (is_sealed and stream.is_sealing):
                return f"sealed: {is_sealed}, acknowledged: {stream.is_sealed}"
            if first > stream.trimmed:
                return f"begins at {first}; only points before {stream.trimmed} were given up"
            if not same_points(stream.kind, seen[first:length], first, length - first):
                return f"holds other points than those that were sent, of {first} to {length}"
        except LabdaqError as error:
            return f"{type(error).__name__}: {error}"
        finally:
            seen.close()
        stream.length, stream.in_flight, stream.is_sealed = length, 0, is_sealed
        return ""


# ---------------------------------------------------------------------------------------- the victim


class Victim:
    """Writes to a store, and says so.

    Parameters
    ----------
    tell
        Called with each thing it is about to do, and each that was acknowledged: see `Ledger.note`.
    """

    def __init__(self, store: DataStore, tell: Callable[..., None]) -> None:
        self._store = store
        self._tell = tell
        self.streams: dict[str, tuple[Stream, str, int]] = {}

    def create(self) -> Scan:
        """Make a scan with a stream of each kind, and start it."""
        scan = self._store.create_scan({"name": "victim", "number": 1, "data_policy": "none"})
        self._tell("scan", scan.key, int(scan.state))
        for kind, encoder in KINDS.items():
            stream = scan.create_stream(kind, encoder)
            self._tell("stream", stream.key, (kind, scan.key))
            self.streams[stream.key] = stream, kind, 0
        for advance in (scan.prepare, scan.start):
            advance()
            self._tell("scan", scan.key, int(scan.state))
        return scan

    def go_on(self, key: str, kind: str) -> None:
        """Write a stream that somebody else began."""
        stream = self._store.open_stream(key, write=True)
        self.streams[key] = stream, kind, len(stream)

    def send(self, key: str, count: int) -> None:
        """Send a batch."""
        stream, kind, length = self.streams[key]
        self._tell("sending", key, count)
        points = points_of(kind, length, count)
        if kind == "scalar" and count == 1:
            stream.send(float(points[0]))
        elif kind in {"scalar", "vector"}:
            stream.send(points)
        else:
            stream.send_many(points)
        self._tell("sent", key, length + count)
        self.streams[key] = stream, kind, length + count

    def trim(self, key: str, first: int) -> None:
        """Give up the points before one."""
        self._tell("trimming", key, first)
        self._store.engine.trim(self.streams[key][0].record, first)

    def seal(self, key: str) -> None:
        """End a stream."""
        self._tell("sealing", key)
        self.streams.pop(key)[0].seal()
        self._tell("sealed", key)

    def delete(self, scan: str) -> None:
        """Remove a scan."""
        self._tell("deleting", scan)
        self._store.delete_scan(scan, force=True)


def _write_until_killed(url: str, seed: int, ledger: Ledger, tell: Callable[..., None]) -> None:
    choice = random.Random(seed)  # noqa: S311 - says who dies, and can be repeated
    with DataStore(url, sync_s=choice.choice([None, 0.002, 0.002, 0])) as store:
        victim = Victim(store, tell)
        for key, stream in ledger.streams.items():
            if not stream.is_sealed:
                victim.go_on(key, stream.kind)
        while True:
            _act(victim, choice, ledger)


def _act(victim: Victim, choice: random.Random, ledger: Ledger) -> None:
    """Something at random: mostly it sends."""
    if not victim.streams:
        victim.create()
    key = choice.choice(list(victim.streams))
    length, what = victim.streams[key][2], choice.random()
    if length > _LONG or what < 0.02:
        victim.seal(key)
    elif what < 0.04 and len(victim.streams) < _MANY:
        victim.create()
    elif what < 0.08:
        victim.trim(key, choice.randrange(length + 1))
    elif what < 0.1 and ledger.scans and (scan := next(iter(ledger.scans))) not in ledger.deleting:
        for gone in [k for k, (stream, _kind, _length) in victim.streams.items() if stream.record.scan_key == scan]:
            victim.streams.pop(gone)[0].close()
        ledger.deleting.add(scan)
        victim.delete(scan)
    else:
        victim.send(key, choice.choice([1, 1, 2, 7, 40]))


# ----------------------------------------------------------------------------------------- the kills


@dataclass(frozen=True)
class StoreKillReport:
    """What was found after random kills. All is well when `wrong` is empty."""

    kills: int
    points: int
    """Points that were acknowledged."""
    scans: int
    wrong: tuple[str, ...]


def kill_store_writers(folder: str, kills: int, *, seed: int = 0) -> StoreKillReport:
    """Kill processes that write to a store, at random moments, and look at what they left each time.

    Each process goes on with the streams of those before it. Batches are small and so are segments; between
    batches, streams and scans are made, trimmed, sealed and deleted.

    Parameters
    ----------
    seed
        Of the random numbers that say what is done, and when somebody dies.
    """
    choice = random.Random(seed)  # noqa: S311 - says who dies, and can be repeated
    segments_module.SEGMENT_NBYTES = SMALL_SEGMENT_NBYTES
    ledger, wrong, scans = Ledger(), [], set[str]()
    for number in range(kills):
        _kill_one(folder, choice, ledger)
        scans |= set(ledger.scans)
        with DataStore(folder, sync_s=None) as store:
            wrong += [f"after kill {number}: {text}" for text in ledger.check(store)]
        if wrong:
            break
        ledger.forget(_REMEMBERED)
    return StoreKillReport(number + 1, ledger.points, len(scans), tuple(wrong))


def _kill_one(folder: str, choice: random.Random, ledger: Ledger) -> None:
    """Start a writer, kill it, and note what it said."""
    here, there = os.pipe()
    seed, life_s = choice.randrange(2**32), choice.uniform(0, 0.03)

    def tell(*words: Any) -> None:
        os.write(there, f"{json.dumps(words)}\n".encode())

    pid = _fork(lambda: _write_until_killed(folder, seed, ledger, tell))
    os.close(there)
    text = os.read(here, 1 << 16)  # until it has begun
    os.set_blocking(here, False)
    end = time.monotonic() + life_s
    while time.monotonic() < end:
        try:
            text += os.read(here, 1 << 16)
        except BlockingIOError:
            time.sleep(1e-4)
    os.kill(pid, signal.SIGKILL)
    _pid, status = os.waitpid(pid, 0)
    os.set_blocking(here, True)
    while piece := os.read(here, 1 << 16):
        text += piece
    os.close(here)
    if not os.WIFSIGNALED(status):
        raise RuntimeError(f"the victim with seed {seed} raised: see its traceback above")
    for line in text.splitlines():
        ledger.note(*json.loads(line))


def main() -> int:
    """Kill some writers and print what was found; 1 when anything was wrong."""
    parser = argparse.ArgumentParser(description=kill_store_writers.__doc__)
    parser.add_argument("folder")
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    report = kill_store_writers(arguments.folder, arguments.kills, seed=arguments.seed)
    sys.stdout.write(f"{asdict(report)}\n")
    return 1 if report.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
