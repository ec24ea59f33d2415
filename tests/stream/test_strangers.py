"""Garbage on the wire: counted and passed over, whoever sends it; never an error that is not ours, never a hang."""

import json
import socket
import struct
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labdaq.errors import DataError, LabdaqError, WaitTimeoutError
from labdaq.stream import InputStream, OutputStream, StreamParameters, header, layouts
from labdaq.stream.compression import codec_named
from labdaq.stream.header import ChunkHead, Kind
from labdaq.stream.zeromq import Lease, load
from tests.stream.victims import until

WORD = st.integers(-(1 << 63), (1 << 63) - 1)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
FRAME = st.one_of(
    st.binary(max_size=80),
    st.builds(
        lambda kind, words: header.pack(Kind.ACK)[:5] + bytes([kind, 0, 0]) + struct.pack(f"<{len(words)}q", *words),
        st.integers(0, 255),
        st.lists(WORD, max_size=8),
    ),
    st.builds(
        lambda kind, content: header.pack(kind) + json.dumps(content).encode(),
        st.sampled_from([Kind.WELCOME, Kind.REFUSED, Kind.HELLO]),
        JSON,
    ),
)
MESSAGES = st.lists(st.lists(FRAME, min_size=1, max_size=4), min_size=1, max_size=8)


class Stranger:
    """Somebody with a ZeroMQ socket and other ideas."""

    def __init__(self, kind, address=None):
        self._lease = Lease()
        self.socket = self._lease.socket(getattr(load(), kind), rcvtimeo=5000)
        self.address = address
        if address is None:
            self.socket.bind("tcp://127.0.0.1:*")
            self.address = self.socket.getsockopt_string(load().LAST_ENDPOINT)
        else:
            self.socket.connect(address)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._lease.end()


def test_a_sender_hears_garbage():
    with OutputStream().configure(dtype="i8", window=4) as out, InputStream().connect(out) as inp:

        @settings(max_examples=25)
        @given(MESSAGES)
        def hear(messages):
            with Stranger("DEALER", out.address) as stranger:
                for frames in messages:
                    stranger.socket.send_multipart(frames)
                stranger.socket.send(header.pack_words(Kind.PING, 7, 0))
                while not (len(answer := stranger.socket.recv()) == 48 and header.unpack_words(answer, 5)[0] == 7):
                    pass
            out.send(np.arange(3), timeout=30)
            assert inp.recv(30)[1].tolist() == [0, 1, 2]

        hear()
        assert out.statistics().malformed > 0
        assert inp.statistics().missed == 0


def welcome(**changes):
    parameters = StreamParameters(dtype="i2", shape=(-1, 2), protocol="tcp").to_json()
    content = {"session": 5, "sequence": 0, "index": 0, "parameters": parameters}
    return header.pack_json(Kind.WELCOME, {**content, **changes})


SCHEMA = layouts.schema_hash(np.dtype("i2"), (-1, 2))


def good(sequence, end):
    return [ChunkHead(0, 5, SCHEMA, sequence, end, 0, 4, 1).pack(), b"\1\0\2\0"]


def test_a_reader_hears_garbage():
    with Stranger("ROUTER") as stranger, InputStream() as inp:
        with pytest.raises(WaitTimeoutError):
            inp.connect(stranger.address, timeout=0.2)
        identity = stranger.socket.recv_multipart()[0]
        del identity

        @settings(max_examples=25)
        @given(MESSAGES)
        def hear(messages):
            reader = _Joining(inp, stranger)
            for frames in messages:
                reader.tell(*frames)
            reader.tell(*good(0, 1))
            try:
                while True:
                    data = inp.recv(0.05)[1]
                    assert data.dtype == inp.parameters.dtype
            except LabdaqError:
                pass

        hear()


class _Joining:
    """Connects a reader to a stranger who knows how to greet."""

    def __init__(self, inp, stranger):
        self._stranger = stranger
        thread = threading.Thread(target=inp.connect, args=(stranger.address,))
        thread.start()
        while (message := stranger.socket.recv_multipart())[1] != b"":
            pass
        self._identity = message[0]
        self.tell(welcome())
        thread.join()

    def tell(self, *frames):
        self._stranger.socket.send_multipart([self._identity, *frames])


BAD_CHUNKS = {
    "schema": [ChunkHead(0, 5, SCHEMA + 1, 1, 2, 0, 4, 1).pack(), b"1234"],
    "no data": [ChunkHead(0, 5, SCHEMA, 1, 2, 0, 4, 1).pack()],
    "three frames": [*good(1, 2), b"more"],
    "short": [ChunkHead(0, 5, SCHEMA, 1, 2, 0, 4, 1).pack(), b"123"],
    "sizes that do not fit": [ChunkHead(0, 5, SCHEMA, 1, 2, 0, 8, 1).pack(), b"12345678"],
    "nothing": [ChunkHead(0, 5, SCHEMA, 1, 2, 0, 0, 0).pack(), b""],
    "packed": [ChunkHead(1, 5, SCHEMA, 1, 2, 0, 4, 1).pack(), b"1234"],
    "number again": good(0, 2),
    "samples again": good(1, 1),
    "huge": [ChunkHead(0, 5, SCHEMA, 1, 1 << 40, 0, 1 << 40, 1 << 31).pack(), b"1234"],
    "head too long": [good(1, 2)[0] + b"x", b"1234"],
    "another version": [b"LDQS\x07" + good(1, 2)[0][5:], b"1234"],
}


def test_bad_chunks_are_counted_and_their_successors_good():
    with Stranger("ROUTER") as stranger, InputStream() as inp:
        sender = _Joining(inp, stranger)
        sender.tell(*good(0, 1))
        assert inp.recv(30)[0] == 1
        for frames in BAD_CHUNKS.values():
            sender.tell(*frames)
        sender.tell(*good(3, 9))
        index, data = inp.recv(30)
        assert (index, data.tolist()) == (9, [[1, 2]])
        statistics = inp.statistics()
        assert statistics.malformed == len(BAD_CHUNKS)
        assert (statistics.received, statistics.missed, statistics.missed_samples) == (2, 2, 7)


@pytest.mark.parametrize("packed", [b"", b"x" * 10, b"\x00\x00\x00\xff" + b"y" * 10])
@pytest.mark.parametrize("name", ["zlib", "lz4", "zstd", "blosc-lz4", "bits"])
def test_what_cannot_be_unpacked(name, packed):
    with pytest.raises(DataError, match="cannot be unpacked"):
        codec_named(name).restore(packed, 1000)


def test_a_bomb_is_not_unpacked():
    for name in ("zlib", "lz4", "zstd", "blosc-lz4"):
        codec = codec_named(name)
        with pytest.raises(DataError):
            codec.restore(codec.pack(np.zeros(1 << 24, "u1")), 10)


@pytest.mark.parametrize("text", ["<02f8", "<f8,f4", "<(,)f4", "<O", "f8", "<f" + "1" * 5000, "<f8 ", "<f8\n", 5])
def test_texts_that_are_no_dtype(text):
    with pytest.raises(DataError, match="describes no dtype"):
        layouts.dtype_from_json(text)


@settings(max_examples=50)
@given(JSON)
def test_dtypes_of_strangers(value):
    try:
        dtype = layouts.dtype_from_json(value)
    except DataError:
        return
    assert not dtype.hasobject


@pytest.mark.parametrize(
    "value",
    ["O", "|O", {"base": "|O", "shape": [1]}, {"fields": [["a", "|O", 0]], "itemsize": 8}, "<f4,<f4", "[('a','f4')]"],
)
def test_no_objects_from_strangers(value):
    with pytest.raises(DataError):
        layouts.dtype_from_json(value)


def test_a_ring_that_is_none():
    parameters = StreamParameters(dtype="i2", shape=(-1, 2), transfermode="sharedmem").to_json()
    with Stranger("ROUTER") as stranger, InputStream() as inp:
        sender = _Joining(inp, stranger)
        for ring in ("../../etc/passwd", "labdaq-0-0123456789abcdef", 7, "labdaq-../x"):
            sender.tell(welcome(parameters=parameters, ring=ring, host=socket.gethostname()))
        with pytest.raises(WaitTimeoutError):
            inp.recv(0.3)


def test_the_memory_of_another_machine():
    parameters = StreamParameters(dtype="i2", shape=(-1, 2), transfermode="sharedmem").to_json()
    with Stranger("ROUTER") as stranger, InputStream() as inp:
        sender = _Joining(inp, stranger)
        sender.tell(welcome(parameters=parameters, ring="labdaq-0-0123456789abcdef", host="elsewhere"))
        with pytest.raises(DataError, match="memory of 'elsewhere'"):
            inp.recv(30)


def test_knocking_is_counted():
    with OutputStream().configure(dtype="i8") as out, Stranger("DEALER", out.address) as stranger:
        for frames in ([b"x"], [b"a", b"b"], [header.pack(Kind.WELCOME)], [header.pack_words(Kind.PING, 1)]):
            stranger.socket.send_multipart(frames)
        until(lambda: out.statistics().malformed == 4)
