"""Embedded stores whose files were cut or damaged, and when power goes."""

import errno

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import labdaq.store.embedded.segments as segments
from labdaq.errors import DataError, LabdaqError, ResourceError
from labdaq.store import DataStore
from labdaq.store.embedded.index import BOOT, COMMITTED, FIRST, HEADER_NBYTES, RECORD, SEALED, SYNCED
from labdaq.testing.store_faults import failing
from tests.store.embedded.damaging import copied, expected_of, make, read_all, refusal_of


@pytest.mark.parametrize("is_json", [False, True])
def test_an_index_cut_anywhere(example, tmp_path, is_json):
    folder, key = copied(example, tmp_path / "s"), example[1 + is_json]
    with DataStore(folder) as store:
        index = store.engine.folder_of(key) / "index"
        whole = index.read_bytes()
        end = HEADER_NBYTES + 40 * RECORD.itemsize
        for size in [*range(0, HEADER_NBYTES, 509), *range(HEADER_NBYTES, end + 1, 7 if is_json else 1), len(whole)]:
            index.write_bytes(whole[:size])
            extent, found = read_all(store, key)
            if size >= end:
                assert found == expected_of(extent.length, 2 if is_json else 10, is_json)
            else:
                assert isinstance(found, DataError)
                with pytest.raises(DataError):
                    store.open_stream(key, write=True).send({} if is_json else 1.0)


def test_a_segment_cut_anywhere(example, tmp_path):
    folder, key = copied(example, tmp_path / "s"), example[1]
    with DataStore(folder) as store:
        path = segments.segments_of(store.engine.folder_of(key))[1][1]
        whole = path.read_bytes()
        for size in range(0, len(whole), 37):
            path.write_bytes(whole[:size])
            stream = store.open_stream(key)
            assert stream[: len(whole) // 8].tolist() == expected_of(len(whole) // 80 * 10, 10, False)
            with pytest.raises(DataError, match="cut short"):
                stream[:]
            stream.close()
        path.unlink()
        with pytest.raises(LabdaqError):
            store.open_stream(key)[:]


@settings(max_examples=200)
@given(data=st.data())
def test_flipped_bytes_of_an_index(example, tmp_path_factory, data):
    is_json = data.draw(st.booleans())
    folder, key = example[0], example[1 + is_json]
    with DataStore(folder) as store:
        index = store.engine.folder_of(key) / "index"
        whole = index.read_bytes()
        used = HEADER_NBYTES + 40 * RECORD.itemsize
        changed = bytearray(whole)
        places = st.one_of(st.integers(0, 128), st.integers(HEADER_NBYTES, used - 1))
        for at in data.draw(st.lists(places, min_size=1, max_size=4)):
            changed[at] ^= data.draw(st.integers(1, 255))
        try:
            index.write_bytes(changed)
            extent, found = read_all(store, key)
            if extent is not None:
                everything = expected_of(80, 2, True) if is_json else expected_of(400, 10, False)
                assert found == everything[extent.first : extent.length]
            for call in (
                lambda: store.engine.trim(store.open_stream(key).record, 0),
                lambda: store.engine.journal(store.open_stream(key).record, 0),
            ):
                refusal_of(call)  # or nothing is wrong with what it looks at
        finally:
            index.write_bytes(whole)


@settings(max_examples=100)
@given(data=st.data())
def test_flipped_bytes_of_points(example, data):
    """Reading does not look at CRCs; what comes is a typed error or points."""
    key = example[2]
    with DataStore(example[0]) as store:
        path = data.draw(st.sampled_from(segments.segments_of(store.engine.folder_of(key))))[1]
        whole = path.read_bytes()
        changed = bytearray(whole)
        for at in data.draw(st.lists(st.integers(0, len(whole) - 1), min_size=1, max_size=4)):
            changed[at] ^= data.draw(st.integers(1, 255))
        try:
            path.write_bytes(changed)
            _extent, found = read_all(store, key)
            assert isinstance(found, LabdaqError) or len(found) == 80
        finally:
            path.write_bytes(whole)


# ------------------------------------------------------------------------------------------ power lost


def lose_power(folder, *, synced, zeroed_from=None, cut=False):
    """What is on the disk after a loss of power: another start of the machine, the last bytes not there."""
    index = folder / "index"
    text = bytearray(index.read_bytes())
    words = memoryview(text)[:HEADER_NBYTES].cast("Q")
    words[BOOT] += 1
    words[SYNCED] = synced
    words.release()
    index.write_bytes(text)
    if zeroed_from is None:
        return
    for offset, path in segments.segments_of(folder):
        bytes_there = bytearray(path.read_bytes())
        keep = min(max(0, zeroed_from - offset), len(bytes_there))
        path.write_bytes(bytes_there[:keep] + (b"" if cut else bytes(len(bytes_there) - keep)))


@pytest.mark.parametrize("cut", [False, True])
@pytest.mark.parametrize("synced", [0, 7, 40])
@pytest.mark.parametrize("whole", [0, 1, 7, 13, 39, 40])
def test_after_a_loss_of_power_there_is_what_is_sound(example, tmp_path, monkeypatch, whole, synced, cut):
    monkeypatch.setattr(segments, "SEGMENT_NBYTES", 1024)
    key, folder = example[1], copied(example, tmp_path / "s")
    with DataStore(folder) as store, DataStore(folder) as other:
        place = store.engine.folder_of(key)
        # numbers are 0.0 in the first batch, for which zeros are right
        lose_power(place, synced=min(synced, whole), zeroed_from=80 * whole + (8 if whole else 80), cut=cut)
        sound = max(whole, 0 if cut else 1) if whole or not cut else 1
        reader = other.open_stream(key)
        expected = expected_of(10 * sound, 10, False)
        assert reader[:].tolist() == expected
        writer = store.open_stream(key, write=True)
        for number in range(100, 140):
            writer.send(np.full(7, float(number)))
            expected += [float(number)] * 7
            assert reader[-3 + len(expected) :].tolist() == expected[-3:]
        assert reader[:].tolist() == writer[:].tolist() == expected
        writer.seal()
    with DataStore(folder) as store:
        assert store.open_stream(key)[:].tolist() == expected


def test_a_record_that_was_lost_with_the_power(example, tmp_path):
    key, folder = example[1], copied(example, tmp_path / "s")
    with DataStore(folder) as store:
        place = store.engine.folder_of(key)
        lose_power(place, synced=3)
        text = bytearray((place / "index").read_bytes())
        text[HEADER_NBYTES + 40 * 9 : HEADER_NBYTES + 40 * 20] = bytes(40 * 11)
        (place / "index").write_bytes(text)
        assert store.open_stream(key)[:].tolist() == expected_of(90, 10, False)
        assert store.engine.trim(store.open_stream(key).record, 1000) >= 0


def test_what_was_trimmed_before_the_power_was_lost_is_no_damage(example, tmp_path):
    key, folder = example[1], copied(example, tmp_path / "s")
    with DataStore(folder) as store:
        assert store.engine.trim(store.open_stream(key).record, 200) > 0
        lose_power(store.engine.folder_of(key), synced=3)
        stream = store.open_stream(key, write=True)
        first, length, _sealed = stream.extent()
        assert length == 400
        assert stream[first:].tolist() == expected_of(400, 10, False)[first:]
        stream.send(1.0)
        assert len(stream) == 401


def test_a_sealed_stream_stays_sealed_when_power_takes_its_end(example, tmp_path):
    key, folder = example[1], copied(example, tmp_path / "s")
    with DataStore(folder, sync_s=None) as store:
        store.open_stream(key, write=True).seal()
        lose_power(store.engine.folder_of(key), synced=0, zeroed_from=1600)
        stream = store.open_stream(key)
        assert stream.extent() == (0, 200, True)
        assert list(stream) == expected_of(200, 10, False)


def test_forcing_is_vouched_for_only_when_it_was_never_refused(tmp_path):
    with DataStore(tmp_path / "s", sync_s=1000) as store:
        stream = make(store)
        words = lambda: np.fromfile(store.engine.folder_of(stream.key) / "index", "<u8", 16)  # noqa: E731
        stream.send(1.0)
        stream.join()
        assert words()[[COMMITTED, SYNCED]].tolist() == [1, 1]
        stream.send(2.0)
        with failing(1, errno.EIO), pytest.raises(ResourceError):
            stream.join()
        stream.join()
        assert words()[[COMMITTED, SYNCED]].tolist() == [2, 1]
        assert words()[[SEALED, FIRST]].tolist() == [0, 0]
