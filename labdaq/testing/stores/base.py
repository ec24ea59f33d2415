"""What the tests of stores share."""

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import pytest

from labdaq.store import DataStore, NumericStreamEncoder, Scan, Stream

__all__ = ["SOON_S", "StoreBase", "as_list", "while_it_waits"]

SOON_S = 0.05  # for so long nothing is expected to happen
LATE_S = 30.0


def while_it_waits(wait: Callable[[], Any], act: Callable[[], Any]) -> Any:
    """Call `wait` in a thread, `act` while that blocks, and return what `wait` returned, or raise what it raised."""
    answers: list[Any] = []
    errors: list[BaseException] = []

    def guarded() -> None:
        try:
            answers.append(wait())
        except BaseException as error:  # noqa: BLE001 - raised below
            errors.append(error)

    thread = threading.Thread(target=guarded, daemon=True)
    thread.start()
    thread.join(SOON_S)
    was_waiting = thread.is_alive()
    act()
    thread.join(LATE_S)
    assert not thread.is_alive(), "it was not woken"
    assert was_waiting, f"it did not wait: {answers or errors}"
    if errors:
        raise errors[0]
    return answers[0]


def as_list(points: Any) -> Any:
    """Points as plain lists and numbers, to be compared."""
    if isinstance(points, np.ndarray | np.generic):
        return points.tolist()
    return [as_list(point) for point in points] if isinstance(points, list | tuple) else points


class StoreBase:
    """What a subclass gives, and what tests get."""

    is_shared_by_processes = False
    """Whether other processes can open it by its URL."""
    batch_nbytes = 8
    """Batches of so many bytes are trimmed one by one, when each was acknowledged before the next."""

    @pytest.fixture
    def new_store(self) -> "Iterator[DataStore]":
        """An empty store, which is closed afterwards."""
        raise NotImplementedError("give a fixture new_store")

    def again(self, store: DataStore, identity: Iterable[str] = ()) -> DataStore:
        """Another store object on the same place."""
        return DataStore(store.url, identity)

    @pytest.fixture
    def store(self, new_store: DataStore) -> DataStore:
        """The store under test."""
        return new_store

    @pytest.fixture
    def other(self, store: DataStore) -> "Iterator[DataStore]":
        """Another object on the same place."""
        with self.again(store) as other:
            yield other

    def make(self, store: DataStore, name: str = "muon", number: int = 1, **more: Any) -> Scan:
        """A scan of a few words."""
        return store.create_scan({"name": name, "number": number, "data_policy": "none", **more})

    def floats(self, store: DataStore, name: str = "delay") -> Stream:
        """A stream of numbers in a scan of its own."""
        return self.make(store).create_stream(name, NumericStreamEncoder(float))

    def filled(self, store: DataStore, batches: Sequence[int]) -> Stream:
        """A stream of 0, 1, 2 …, in batches of these sizes; 1 is sent as a number."""
        stream = self.floats(store)
        first = 0
        for size in batches:
            stream.send(float(first) if size == 1 else np.arange(first, first + size, dtype=float))
            first += size
        stream.join()
        return stream

    def seen_by(self, store: DataStore, stream: Stream) -> Stream:
        """The same stream, to be read by another object."""
        return store.open_stream(stream.key)
