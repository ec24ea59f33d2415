"""A store with streams of each kind, to be copied and damaged."""

import numpy as np
import pytest

import labdaq.store.embedded.segments as segments
from labdaq.store import DataStore, JsonStreamEncoder
from tests.store.embedded.damaging import make


@pytest.fixture(scope="module")
def example(tmp_path_factory):
    """A closed store: streams of each kind, in several segments; and what they hold."""
    folder = tmp_path_factory.mktemp("example") / "s"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(segments, "SEGMENT_NBYTES", 1024)
        with DataStore(folder, sync_s=None) as store:
            numbers, notes = make(store), make(store, JsonStreamEncoder())
            for number in range(40):
                numbers.send(np.full(10, float(number)))
                notes.send_many([number, {"number": number}])
            for stream in (numbers, notes):
                stream.close()
    return folder, numbers.key, notes.key


@pytest.fixture
def store(tmp_path):
    with DataStore(tmp_path / "s") as store:
        yield store
