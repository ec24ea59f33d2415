"""Callbacks with pointers, for every format."""

import ctypes
import io
import json

import numpy as np
import pytest

from labdaq.compat.bifrost.address import Address
from labdaq.compat.bifrost.packet_capture import CaptureStatus, DiskReader, PacketCaptureCallback, Pointer, UDPSniffer
from labdaq.compat.bifrost.packet_writer import DiskWriter, HeaderInfo
from labdaq.compat.bifrost.ring import Ring
from labdaq.compat.bifrost.udp_socket import UDPSocket
from labdaq.errors import ClosedError, LayoutError

CI8, CI16 = [("re", "i1"), ("im", "i1")], [("re", "<i2"), ("im", "<i2")]
T0 = 19600000 * 1000

# name to read and to write, arguments of the writer, dtype and shape of the data, what readers are told,
# what the callback is given before its pointers, whether it has one to the time tag
CASES = {
    "simple": (
        "simple", {}, (50, 1, 0, 1), (CI16, (3, 1, 2048)), {"nsrc": 1},
        (50, 0, 0, 1), True,
    ),
    "chips": (
        "chips_4", {"nsrc": 2, "chan0": 100}, (50, 1, 0, 1), ("u1", (3, 2, 128)), {"nsrc": 2},
        (50, 100, 4, 2), True,
    ),
    "ibeam": (
        "ibeam2_3", {"nsrc": 2, "chan0": 100}, (50, 1, 0, 1), ("c8", (3, 2, 12)), {"nsrc": 2},
        (50, 100, 6, 2), True,
    ),
    "pbeam": (
        "pbeam1_8", {"nsrc": 2, "chan0": 100, "decimation": 24}, (48, 24, 0, 1), ("f4", (3, 2, 32)),
        {"nsrc": 2, "src0": 1}, (2, 48, 24, 100, 16, 1), False,
    ),
    "cor": (
        "cor_4", {"nsrc": 3, "chan0": 100, "decimation": 10, "tuning": 1 << 16 | 1 << 8 | 1}, (T0, 19600000, 0, 1),
        ("c8", (3, 3, 16)), {"nsrc": 3, "src0": 1}, (1000, T0, 100, 4, 10, 3), False,
    ),
    "tbn": (
        "tbn", {"tuning": 7}, (512 * 1960 * 9, 512 * 1960, 0, 1), (CI8, (3, 2, 512)), {"nsrc": 2},
        (9, 512 * 1960 * 9, 1960, 7, 2), False,
    ),
    "drx": (
        "drx", {"tuning": 7, "decimation": 10}, (40960 * 9, 40960, 1 << 3 | 1, 128), ("u1", (3, 2, 4096)), {"nsrc": 2},
        (9, 40960 * 9, 10, 7, 0, 2), False,
    ),
    "drx8": (
        "drx8", {"tuning": 7, "decimation": 10}, (40960 * 9, 40960, 1 << 3 | 1, 128), (CI8, (3, 2, 4096)), {"nsrc": 2},
        (9, 40960 * 9, 10, 7, 0, 2), False,
    ),
    "snap2": (
        "snap2", {"nsrc": 2, "nchan": 4, "chan0": 100, "sync_time": 12345, "npol": 8, "npol_tot": 16}, (50, 1, 0, 1),
        ("u1", (3, 2, 32)), {"nsrc": 2}, (50, 100, 4, 2), True,
    ),
    "vdif": (
        "vdif", {"decimation": 100, "nbit": 8, "is_complex": 1, "nchan": 4}, (1000, 1, 0, 1), ("u1", (200, 2, 80)),
        {"nsrc": 2}, (1000, 10000, 0, 1000, 4, 8, 1, 2), False,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", list(CASES))
def test_a_callback_is_given_what_bifrost_gives(name):
    full_name, info, numbers, (dtype, shape), reading, expected, has_tag = CASES[name]
    file, ring, calls = io.BytesIO(), Ring(), []
    data = np.zeros(shape, dtype)
    data.view(np.uint8).reshape(-1)[::3] = 1
    DiskWriter(full_name, file).send(HeaderInfo(**info), *numbers, data)
    file.seek(0)

    def start(*arguments):
        *values, header, size = arguments
        if has_tag:
            *values, tag = values
            calls.append((tuple(values), tag[0]))
            tag[0] = 4711
        else:
            calls.append((tuple(values), None))
        text = json.dumps({"made": "by hand"}).encode()
        kept.append(ctypes.create_string_buffer(text))
        header[0] = ctypes.cast(kept[-1], ctypes.c_void_p)
        size[0] = len(text)
        return 0

    kept = []
    callback = PacketCaptureCallback()
    getattr(callback, f"set_{name}")(start)
    with DiskReader(
        full_name, file, ring, reading["nsrc"], reading.get("src0", 0), 512, 512, sequence_callback=callback
    ) as capture:
        while capture.recv() not in (CaptureStatus.ENDED, CaptureStatus.NO_DATA):
            pass
        assert capture.ledger().accepted == shape[0] * shape[1]
    ((values, preset),) = calls
    assert values == expected
    assert preset == ((12345 if name == "snap2" else 50) if has_tag else None)
    with ring.open_earliest_sequence() as sequence:
        assert json.loads(sequence.header.tobytes()) == {"made": "by hand"}
        assert sequence.time_tag == (4711 if has_tag else expected[1])
        with sequence.acquire(0, data.nbytes) as span:
            assert int(span.data.sum()) == int(data.view(np.uint8).sum())
    ring.close()


def simple_file(packets=3):
    file = io.BytesIO()
    DiskWriter("simple", file).send(HeaderInfo(), 0, 1, 0, 1, np.zeros((packets, 1, 2048), CI16))
    file.seek(0)
    return file


def header_of(function):
    ring, callback = Ring(), PacketCaptureCallback()
    if function is not None:
        callback.set_simple(function)
    try:
        with DiskReader("simple", simple_file(), ring, 1, 0, 2, 2, callback) as capture:
            while capture.recv() not in (CaptureStatus.ENDED, CaptureStatus.NO_DATA):
                pass
        with ring.open_earliest_sequence() as sequence:
            return sequence.time_tag, sequence.header.tobytes()
    finally:
        ring.close()


class TestPointers:
    def test_nothing_need_be_set(self):
        assert header_of(lambda *_: 0) == (0, b"{}")
        assert header_of(lambda *_: None) == (0, b"{}")

    def test_without_a_function_the_header_is_labdaqs(self):
        assert json.loads(header_of(None)[1])["format"] == "simple"

    def test_bytes_do_as_well(self):
        def start(*arguments):
            *_, tag, header, size = arguments
            tag[0], header[0], size[0] = 5, b'{"a": 1}\0', 9
            return 0

        assert header_of(start) == (5, b'{"a": 1}')

    @pytest.mark.parametrize(
        ("value", "size", "said"),
        [(None, 5, "nothing"), (b"no", 2, "no JSON"), (b"[]", 2, "no JSON object"),
         (b"x", -1, "make sense"), (b"x", 1 << 30, "make sense")],
    )  # fmt: skip
    def test_headers_that_are_none_end_the_capture(self, value, size, said):
        def start(*arguments):
            arguments[-2][0], arguments[-1][0] = value, size
            return 0

        with pytest.raises(LayoutError, match=said):
            header_of(start)

    def test_a_status_other_than_0_ends_the_capture(self):
        with pytest.raises(LayoutError, match="returned -1"):
            header_of(lambda *_: -1)

    def test_an_error_ends_the_capture(self):
        def start(*_):
            raise KeyError("utc_start")

        with pytest.raises(KeyError, match="utc_start"):
            header_of(start)

    def test_there_is_one_value(self):
        with pytest.raises(LayoutError, match="pointer"):
            Pointer(0)[1] = 2


def test_two_captures_of_one_format_have_their_own_functions():
    tags = []
    for tag in (7, 8):

        def start(*arguments, tag=tag):
            arguments[-3][0] = tag
            return 0

        tags.append(header_of(start)[0])
    assert tags == [7, 8]


def test_seek_is_relative_unless_said_otherwise():
    ring = Ring()
    with DiskReader("simple", simple_file(10), ring, 1, 0, 2, 2) as capture:
        capture.recv()
        assert capture.seek(0, 0) == 0
        assert capture.seek(8200) == 8200
        capture.end()
        with pytest.raises(ClosedError):
            capture.recv()
    ring.close()


def test_a_sniffer_needs_a_socket_that_sniffs():
    ring = Ring()
    with UDPSocket() as sock:
        sock.bind(Address("127.0.0.1", 0))
        with pytest.raises(LayoutError, match="sniff"):
            UDPSniffer("chips", sock, ring, 16, 0, 9000, 250, 25000, PacketCaptureCallback())
    ring.close()
