"""A format of one's own: a dtype and a function, as in a notebook cell."""

import io

import numpy as np
import pytest

from labdaq.errors import LayoutError
from labdaq.packet import FrameLayout, PacketFormat, find_format, read, register

HEADER = np.dtype([("magic", ">u2"), ("id", "u1"), ("level", "<i2"), ("seq", "<u4"), ("offset", ">f4")])


def packets(frames, nsrc):
    every = np.zeros((frames, nsrc), np.dtype([("h", HEADER), ("p", "u1", 6)]))
    every["h"]["magic"], every["h"]["level"] = 0xABCD, -5
    every["h"]["id"] = 0xC0 | np.arange(nsrc)
    every["h"]["seq"] = np.arange(frames)[:, None] + 2**31
    every["p"] = np.arange(6) + 10 * np.arange(nsrc)[None, :, None]
    return every


def decode(h):
    if h.magic != 0xABCD:
        return -1, 0
    return h.seq, h.id & 0x3F


def test_a_dtype_and_a_function_are_enough():
    mine = PacketFormat("mine", HEADER, decode, payload=6, setup=("level",))
    every = packets(5, 3)
    (block,) = read(io.BytesIO(every.tobytes()), mine, nsrc=3)
    assert np.array_equal(block.data, every["p"])
    assert (block.seq, block.header["level"]) == (2**31, -5)


def test_compiled_or_a_lambda_with_what_the_capture_knows():
    import numba

    for function in (numba.njit(decode), lambda h, c: (h.seq, (h.id & 0x3F) - c.src0)):
        mine = PacketFormat("mine", HEADER, function, payload=6)
        (block,) = read(io.BytesIO(packets(4, 3).tobytes()), mine, nsrc=2, src0=1)
        assert block.data[0].tolist() == [[10, 11, 12, 13, 14, 15], [20, 21, 22, 23, 24, 25]]


def test_payload_layout_clock_and_writing():
    def layout(setup):
        return FrameLayout.interleaved(
            setup.nsrc, "uint8", rows=3, shape=(3, 2 * setup.nsrc), labels=("time", "channel")
        )

    mine = PacketFormat(
        "mine", HEADER, decode, payload=6, layout=layout, clock=lambda setup: (setup.seq * 10, 10),
        describe=lambda setup: {"volts": setup.level / 2},
    )  # fmt: skip
    blocks = list(read(io.BytesIO(packets(4, 2).tobytes()), mine, nsrc=2, ntime_gulp=3))
    assert blocks[0].data[0].tolist() == [[0, 1, 10, 11], [2, 3, 12, 13], [4, 5, 14, 15]]
    assert [block.time_tag for block in blocks] == [2**31 * 10, (2**31 + 3) * 10]
    assert blocks[0].header["volts"] == -2.5


def test_it_can_be_known_by_its_name():
    register(PacketFormat("mine", HEADER, decode, payload=6))
    assert find_format("mine").nbytes == 19
    with pytest.raises(LayoutError, match="no number"):
        find_format("mine_5")


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ({"decode": lambda h: (h.nothing, 0)}, "nothing"),
        ({"decode": lambda h: h.seq}, "int64, which is 1 value and no tuple"),
        ({"decode": lambda h: [h.seq, 0]}, "no tuple"),
        ({"decode": lambda h: None}, "none, which is"),
        ({"decode": lambda h: (h.seq / 2, 0)}, "the sequence number as float64.*by // instead"),
        ({"decode": lambda h: (h.seq, 1.5)}, "the source as float64"),
        ({"decode": lambda h: (h.seq, 0, 0.5), "setup": ("level",)}, "returns level as float64"),
        ({"decode": lambda h: (h.seq, "a")}, "returns the source as"),
        ({"decode": lambda h: (h.seq if h.level else None, 0)}, "sequence number as Optional"),
        ({"payload": lambda h: 12 / 2}, "payload returns bytes as float64"),
        ({"begin": lambda h: 13.0}, "begin returns bytes as float64"),
        ({"decode": lambda h: (h.seq, 0, 1, 2)}, "4 values"),
        ({"decode": lambda: 0}, "0 arguments"),
        ({"decode": lambda h: (h.seq + "a", 0)}, "cannot be compiled"),
        ({"setup": ("gain",)}, "gain"),
        ({"layout": lambda s: FrameLayout.by_source(s.nsrc, "uint8", (5,))}, "do not fill"),
    ],
)
def test_what_is_wrong_is_said(what, said):
    content = packets(4, 1).tobytes()
    with pytest.raises(LayoutError, match=said):
        list(read(io.BytesIO(content), PacketFormat("mine", HEADER, **{"decode": decode, "payload": 6} | what), nsrc=1))


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "Mine"},
        {"header": np.dtype("u4")},
        {"samples": "i8"},
        {"samples": "nothing"},
        {"setup": tuple("abcdefghi")},
    ],
)
def test_formats_that_cannot_be(wrong):
    with pytest.raises(LayoutError):
        PacketFormat(**{"name": "mine", "header": HEADER, "decode": decode} | wrong)


def test_division_by_zero_in_a_header_is_no_crash():
    mine = PacketFormat("mine", HEADER, lambda h: (h.seq // (h.level - h.level), h.id // h.level), payload=6)
    reading = read(io.BytesIO(packets(4, 1).tobytes()), mine, nsrc=1)
    list(reading)
    assert reading.ledger.closes
