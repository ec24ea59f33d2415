"""Memory that repeats itself without a seam, lives as long as anyone looks at it, and is refused politely."""

import errno
import gc
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from labdaq.errors import ResourceError
from labdaq.native import mapping
from labdaq.native.mapping import PAGE, Mapping, anonymous_file, new_token, open_file, remove, shared_file

mirrors = pytest.mark.skipif(not mapping.CAN_MIRROR, reason="memory can be mapped twice on Linux only")


@pytest.fixture
def descriptor():
    number = anonymous_file(8 * PAGE)
    yield number
    os.close(number)


@mirrors
def test_a_mirrored_mapping_goes_on_where_it_began(descriptor):
    memory = Mapping(descriptor, 0, 2 * PAGE, mirrored=True).bytes()
    memory[2 * PAGE - 2 : 2 * PAGE + 2] = [1, 2, 3, 4]
    assert len(memory) == 4 * PAGE
    assert memory[:2].tolist() == [3, 4]
    assert memory[-2:].tolist() == [1, 2]


@mirrors
def test_every_lane_is_mirrored_on_its_own(descriptor):
    stretch = Mapping(descriptor, 2 * PAGE, 6 * PAGE, lanes=3, mirrored=True)
    lanes = stretch.bytes().reshape(3, stretch.lane_stride)
    assert lanes.shape == (3, 4 * PAGE)
    for number, lane in enumerate(lanes):
        lane[: 2 * PAGE] = number + 1
    assert [set(lane.tolist()) for lane in lanes] == [{1}, {2}, {3}]
    plain = Mapping(descriptor, 0, 8 * PAGE).bytes()
    assert plain[:: 2 * PAGE].tolist() == [0, 1, 2, 3]


def test_two_mappings_of_a_file_show_the_same(descriptor):
    one, other = (Mapping(descriptor, 0, PAGE).bytes() for _ in range(2))
    one[7] = 7
    assert other[7] == 7


def test_memory_stays_under_a_view():
    number = anonymous_file(PAGE)
    view = Mapping(number, 0, PAGE).bytes()[10:20]
    os.close(number)
    gc.collect()
    view[:] = 3
    assert view.sum() == 30


@mirrors
def test_memory_goes_with_its_last_view(descriptor):
    view = Mapping(descriptor, 0, PAGE).bytes()[1:].view("u1")[::2]
    address = f"{view.ctypes.data - 1:x}-"
    assert is_mapped(address)
    del view
    gc.collect()
    assert not is_mapped(address)


def is_mapped(address):
    lines = Path("/proc/self/maps").read_text().splitlines()
    return any(line.startswith(address) and "labdaq" in line for line in lines)


def test_memory_that_nobody_has_is_refused_with_its_size():
    with pytest.raises(ResourceError, match=r"1125899906\.8 MB of memory of this process"):
        anonymous_file(1 << 50)


def test_a_full_memory_file_system_is_refused_and_leaves_nothing():
    name = f"{new_token()}.full"
    with pytest.raises(ResourceError, match="ask for a smaller capacity"):
        shared_file(name, 1 << 50)
    assert not (mapping.folder() / name).exists()


@pytest.mark.skipif(sys.platform != "linux", reason="limits of file sizes")
def test_the_systems_own_refusal_is_translated():
    code = (
        "import resource, signal\n"
        "from labdaq.errors import ResourceError\n"
        "from labdaq.native.mapping import anonymous_file\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, 1 << 16))\n"
        "try: anonymous_file(1 << 20)\n"
        "except ResourceError as error: print(error.__cause__.errno)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.split() == [str(errno.EFBIG)], done.stderr


def test_no_descriptor_is_left_by_a_refusal():
    with pytest.raises(ResourceError):
        anonymous_file(1 << 50)  # the fixture of all tests counts descriptors


def test_an_address_space_that_is_too_small_is_an_error(descriptor):
    with pytest.raises(ResourceError, match="address space"):
        Mapping(descriptor, 0, 1 << 60)


def test_named_memory_is_private_to_its_owner_and_found_by_name():
    name = new_token()
    made = shared_file(name, PAGE)
    try:
        assert os.fstat(made).st_mode & 0o077 == 0
        found = open_file(name)
        Mapping(made, 0, PAGE).bytes()[0] = 9
        assert Mapping(found, 0, PAGE).bytes()[0] == 9
        os.close(found)
        with pytest.raises(FileExistsError):
            shared_file(name, PAGE)
    finally:
        os.close(made)
        assert remove(name)
    assert not remove(name)
    with pytest.raises(FileNotFoundError):
        open_file(name)


def test_names_are_never_the_same():
    assert len({new_token() for _ in range(100)}) == 100


def test_an_array_of_another_dtype_keeps_the_memory_too(descriptor):
    numbers = np.frombuffer(Mapping(descriptor, 0, PAGE).bytes(), np.int64)
    gc.collect()
    numbers[:] = 4
    assert numbers.sum() == 4 * PAGE // 8
