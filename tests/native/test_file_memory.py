"""Files that are mapped: shared, without a descriptor, for as long as there is a view."""

import gc
import os
import sys
import weakref

import numpy as np
import pytest

from labdaq.native.file_memory import map_file
from labdaq.testing import inventory


@pytest.fixture
def file(tmp_path):
    descriptor = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT, 0o600)
    os.write(descriptor, bytes(8192))
    yield descriptor
    os.close(descriptor)


def test_it_is_shared(file):
    writable, readable = map_file(file, 8192, writable=True), map_file(file, 100)
    writable[10:12] = b"ab"
    assert (bytes(readable[9:13]), len(readable)) == (b"\0ab\0", 100)
    assert (writable.readonly, readable.readonly) == (False, True)
    with pytest.raises(TypeError):
        readable[0] = 1


def test_views_need_no_descriptors_and_keep_it(file):
    before = inventory()
    views = [np.frombuffer(map_file(file, 8192), "u1", 10, 4096) for _ in range(100)]
    assert [text for key, text in inventory().items() if key not in before] == []
    map_file(file, 8192, writable=True)[4096] = 7
    gc.collect()
    assert all(view[0] == 7 for view in views)


@pytest.mark.skipif(os.name != "posix", reason="the system does it elsewhere")
def test_it_goes_with_the_last_view(file):
    view = map_file(file, 8192)
    memory = weakref.ref(view.obj.base)
    part = view[5:10]
    del view
    assert memory() is not None
    del part
    assert memory() is None


@pytest.mark.skipif(os.name != "posix", reason="the system does it elsewhere")
def test_who_interrupts_it_hears_of_nothing_else(file, monkeypatch):
    def interrupt():
        raise KeyboardInterrupt

    unraisable = []
    monkeypatch.setattr(sys, "unraisablehook", unraisable.append)
    monkeypatch.setattr("labdaq.native.file_memory._libc", interrupt)
    with pytest.raises(KeyboardInterrupt):
        map_file(file, 8192)
    gc.collect()
    assert unraisable == []


@pytest.mark.skipif(os.name != "posix", reason="the system does it elsewhere")
def test_what_cannot_be_mapped(file):
    with pytest.raises(OSError, match="Invalid"):
        map_file(file, 0)
    with pytest.raises(OSError, match="Bad file"):
        map_file(999_999, 10)
