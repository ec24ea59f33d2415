"""Embedded stores whose catalogue is damaged, or may not be written."""

import os
import shutil
import sqlite3

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labdaq.errors import DataError, NotFoundError, ResourceError, ScanNotFoundError
from labdaq.store import DataStore
from tests.store.embedded.damaging import copied, expected_of, refusal_of


def all_calls(store, scan_key, stream_key):
    return [
        lambda: store.create_scan({"name": "muon", "number": 1, "data_policy": "none"}),
        lambda: store.load_scan(scan_key),
        lambda: store.open_stream(stream_key).extent(),
        lambda: store.open_stream(stream_key, write=True).seal(),
        lambda: store.search_existing_scans(name="mu*"),
        lambda: store.get_scans_state([scan_key]),
        lambda: store.get_next_scan(0, block=False),
        store.get_last_scan,
        store.engine.usage,
        lambda: store.delete_scan(scan_key, force=True),
    ]


@settings(max_examples=60)
@given(data=st.data())
def test_a_damaged_catalogue(example, tmp_path_factory, data):
    folder = copied(example, tmp_path_factory.mktemp("damaged") / "s")
    path = folder / "catalogue.db"
    text = bytearray(path.read_bytes())
    how = data.draw(st.sampled_from(["cut", "flip", "garbage"]))
    if how == "cut":
        text = text[: data.draw(st.integers(1, len(text) - 1))]
    elif how == "garbage":
        text = bytearray(data.draw(st.binary(min_size=1, max_size=2000)))
    else:
        for at in data.draw(st.lists(st.integers(0, len(text) - 1), min_size=1, max_size=40)):
            text[at] ^= data.draw(st.integers(1, 255))
    path.write_bytes(text)
    with DataStore(example[0]) as sound:
        scan_key = sound.search_existing_scans()[1][0]

    def use():
        with DataStore(folder) as store:
            for call in all_calls(store, scan_key, example[1]):
                assert isinstance(refusal_of(call), DataError | ResourceError | NotFoundError | None)

    assert isinstance(refusal_of(use), DataError | ResourceError | None)
    shutil.rmtree(folder)


@pytest.mark.parametrize("what", ["not even text", "{}", "[1]", "null"])
@pytest.mark.parametrize(
    "column", ["scans.info", "scans.identity", "scans.state", "streams.encoding", "streams.info", "streams.writer"]
)
def test_nonsense_in_the_catalogue(example, tmp_path, column, what):
    folder = copied(example, tmp_path / "s")
    table, _dot, name = column.partition(".")
    db = sqlite3.connect(folder / "catalogue.db")
    db.execute(f"UPDATE {table} SET {name} = ?", (what,))
    db.commit()
    db.close()
    with DataStore(folder) as store:
        for call in all_calls(store, store.get_last_scan()[1], example[1]):
            assert isinstance(refusal_of(call), DataError | NotFoundError | None)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everything")
def test_a_catalogue_that_may_only_be_read(example, tmp_path):
    folder = copied(example, tmp_path / "s")
    for path in (folder / "catalogue.db", folder):
        path.chmod(0o500)
    try:
        with pytest.raises(ResourceError):
            DataStore(folder)
    finally:
        folder.chmod(0o700)


@pytest.mark.parametrize(("how", "message"), [("max_page_count = 1", "full"), ("query_only = 1", "readonly")])
def test_a_catalogue_that_refuses_to_be_written(example, tmp_path, how, message):
    folder = copied(example, tmp_path / "s")
    with DataStore(folder) as store:
        with store.engine.catalogue.reading() as db:
            db.execute(f"PRAGMA {how}")

        def fill():
            for _ in range(1000):
                store.create_scan({"name": "x" * 1000, "number": 1, "data_policy": "none"})

        with pytest.raises(ResourceError, match=message):
            fill()
        assert store.open_stream(example[1])[:].tolist() == expected_of(400, 10, False)


def test_a_catalogue_that_is_a_folder(tmp_path):
    (tmp_path / "s" / "catalogue.db").mkdir(parents=True)
    with pytest.raises(ResourceError):
        DataStore(tmp_path / "s")


def test_files_of_a_stream_that_are_gone(example, tmp_path):
    folder, key = copied(example, tmp_path / "s"), example[1]
    with DataStore(folder) as store:
        shutil.rmtree(store.engine.folder_of(key))
        stream = store.open_stream(key, write=True)
        for call in (stream.extent, lambda: stream[:], lambda: stream.send(1.0), stream.seal):
            with pytest.raises(ScanNotFoundError):
                call()
        with pytest.raises(ScanNotFoundError):
            store.engine.trim(stream.record, 1)
