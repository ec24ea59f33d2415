"""Run as a program with LABDAQ_FAULTS set: kills a process at its n-th transition, for every n.

Each scenario has a victim, which is killed, and a survivor, which must find everything in order. Prints one
line per scenario: its name and how many transitions the victim has.
"""

import mmap
import sys
from collections.abc import Callable

import numpy as np

import labdaq
from labdaq.ring import warm
from labdaq.testing import dies_at

MOST = 400


class Notes:
    """Numbers that a victim writes down and a survivor reads."""

    def __init__(self) -> None:
        self._words = np.frombuffer(mmap.mmap(-1, mmap.PAGESIZE), np.int64)

    def add(self, number: int) -> None:
        self._words[1 + self._words[0]] = number
        self._words[0] += 1

    def read(self) -> list[int]:
        return [int(number) for number in self._words[1 : 1 + self._words[0]]]


def events() -> labdaq.Ring:
    return labdaq.Ring(space="shared", dtype="i8", shape=(4,), capacity=16)


def put(writer: labdaq.ring.EventWriter, value: int) -> None:
    with writer.reserve(timeout=5) as event:
        event.data[...] = value


def drain(ring: labdaq.Ring, group: str) -> list[int]:
    """All that is left, every frame checked to be whole."""
    ring.end()
    values = []
    with ring.reader(group) as reader:
        while True:
            try:
                event = reader.read(timeout=5)
            except labdaq.errors.EndOfDataError:
                return values
            assert len(set(event.data.tolist())) == 1, f"torn: {event.data}"
            values.append(int(event.data[0]))


def writing(n: int) -> bool:
    """What a writer that died had acknowledged is read; what it had not is read whole or not at all."""
    with events() as ring:
        ring.group("all")
        notes = Notes()

        def victim() -> None:
            with ring.writer() as writer:
                for value in range(3):
                    put(writer, value)
                    notes.add(value)
                writer.reserve().void()
                with writer.reserve(2) as span:
                    span.data[...] = 3
                notes.add(3)

        died = dies_at(n, victim)
        with ring.writer() as writer:
            for value in (10, 11, 12):
                put(writer, value)
        values = drain(ring, "all")
        statistics = ring.statistics()
        assert set(notes.read()) | {10, 11, 12} <= set(values), (notes.read(), values)
        # killed between voiding a span and counting it, a victim leaves that one span uncounted
        assert 0 <= statistics.frames_written - len(values) <= 1, (values, statistics)
        assert values[-3:] == [10, 11, 12], values
        return died


def reading(n: int) -> bool:
    """What a reader that died had not released is delivered again, and nothing else is."""
    with events() as ring:
        group = ring.group("all")
        with ring.writer() as writer:
            for value in range(6):
                put(writer, value)
        started, finished = Notes(), Notes()

        def victim() -> None:
            with group.reader() as reader:
                for _ in range(4):
                    started.add(int(reader.read(timeout=5).data[0]))
                    reader.release()
                    finished.add(1)
                started.add(int(reader.read(timeout=5).data[0]))

        died = dies_at(n, victim)
        values = drain(ring, "all")
        done = started.read()[: len(finished.read())]
        assert not set(done) & set(values), (done, values)
        assert set(started.read()) | set(values) == set(range(6)), (started.read(), values)
        assert len(values) == len(set(values)), values
        return died


def sequences(n: int) -> bool:
    """A sequence whose writer died ends at a commit; the ring can be written and read again."""
    with labdaq.Ring(space="shared") as ring:
        ring.resize(16, 64)
        notes = Notes()

        def victim() -> None:
            with ring.begin_writing() as writer:
                with writer.begin_sequence("one") as sequence:
                    for value in (1, 2):
                        with sequence.reserve(8) as span:
                            span.data[...] = value
                        notes.add(value)
                    first, second = sequence.reserve(8), sequence.reserve(8)
                    first.data[...] = second.data[...] = 3
                    second.commit(4)
                    first.commit(4)
                with writer.begin_sequence("two"):
                    pass

        died = dies_at(n, victim)
        with ring.begin_writing() as writer, writer.begin_sequence("last") as sequence:
            with sequence.reserve(8, timeout=5) as span:
                span.data[...] = 9
        found = {}
        for reading in ring.read():
            data = np.concatenate([np.zeros(0), *(span.data.copy() for span in reading.read(8))])
            found[reading.name] = data.tolist()
        assert found["last"] == [9.0] * 8, found
        kept = found.get("one", [])
        for value in notes.read():
            assert kept.count(float(value)) == 8, (notes.read(), kept)
        assert set(kept) <= {0.0, 1.0, 2.0, 3.0}, kept
        return died


def holding(n: int) -> bool:
    """A reader that died does not hold the writers, and a declared group can be closed."""
    with events() as ring:
        with ring.writer() as writer:
            put(writer, 0)

        def victim() -> None:
            group = ring.group("declared")
            with ring.reader("undeclared") as reader, ring.reader() as nameless:
                reader.read(timeout=5)
                nameless.read(timeout=5)
            group.close()

        died = dies_at(n, victim)
        ring.group("declared").close()
        with ring.writer() as writer:
            for value in range(40):
                put(writer, value)
        assert ring.statistics().groups == ()
        return died


def resizing(n: int) -> bool:
    """A ring whose memory was being replaced keeps its contents, in the old memory or in the new."""
    with events() as ring:
        group = ring.group("all")
        with ring.writer() as writer:
            for value in range(5):
                put(writer, value)
        died = dies_at(n, lambda: ring.resize(32, 32))
        with ring.writer() as writer:
            for value in range(5, 10):
                put(writer, value)
        assert ring.capacity in (16, 32)
        with group.reader() as reader:
            assert int(reader.read(timeout=5).data[0]) == 0
        assert drain(ring, "all") == list(range(1, 10))
        return died


def every_transition(scenario: Callable[[int], bool]) -> int:
    for n in range(1, MOST):
        try:
            if not scenario(n):
                return n - 1
        except Exception as error:
            raise RuntimeError(f"{scenario.__name__}, killed at transition {n}") from error
    raise RuntimeError(f"{scenario.__name__}: the victim still dies at transition {MOST}")


def main() -> None:
    warm()
    for scenario in (writing, reading, sequences, holding, resizing):
        transitions = every_transition(scenario)
        if transitions < 4:
            raise RuntimeError(f"{scenario.__name__}: only {transitions} transitions; are faults compiled in?")
        sys.stdout.write(f"{scenario.__name__} {transitions}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
