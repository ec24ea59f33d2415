"""How points become bytes: everything comes back, nothing else goes in, and damaged bytes are found out."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from labdaq.errors import DataError, LayoutError
from labdaq.store import JsonStreamEncoder, NumericStreamEncoder
from labdaq.store.encoding import Batch, encoder_of, from_json_text, to_json_text

DTYPES = st.one_of(
    hnp.boolean_dtypes(),
    hnp.integer_dtypes(endianness="?"),
    hnp.unsigned_integer_dtypes(endianness="?"),
    hnp.floating_dtypes(endianness="?"),
    hnp.complex_number_dtypes(endianness="?"),
    hnp.datetime64_dtypes(endianness="?"),
    hnp.timedelta64_dtypes(endianness="?"),
)
SHAPES = hnp.array_shapes(min_dims=0, max_dims=3, max_side=3)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(exclude_categories=())),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


def same(found, expected):
    """Whether two lots of points are the same, NaN included."""
    assert len(found) == len(expected)
    for one, other in zip(map(np.asarray, found), map(np.asarray, expected), strict=True):
        # single numbers have the byte order of the machine
        assert (one.dtype.newbyteorder("="), one.shape) == (other.dtype.newbyteorder("="), other.shape)
        np.testing.assert_array_equal(one, other)


def batches_of(encoder, groups):
    """Points in batches, as they would be kept."""
    kept, start = [], 0
    for group in groups:
        payload, count = encoder.encode_many(group)
        assert count == len(group)
        kept.append(Batch(start, count, bytes(payload)))
        start += count
    return kept


@st.composite
def numeric(draw, shapes=SHAPES, ragged=False):
    """An encoder, and batches of its points."""
    dtype, shape = draw(DTYPES), draw(shapes)
    if ragged:
        axes = draw(st.lists(st.booleans(), min_size=len(shape), max_size=len(shape)).filter(any))
        shape = tuple(-1 if varies else n for n, varies in zip(shape, axes, strict=True))
    one = st.tuples(*(st.integers(0, 3) if n == -1 else st.just(n) for n in shape)).flatmap(
        lambda actual: hnp.arrays(dtype, actual)
    )
    groups = draw(st.lists(st.lists(one, min_size=1, max_size=4), min_size=1, max_size=4))
    return NumericStreamEncoder(dtype, shape), groups


@given(st.one_of(numeric(), numeric(hnp.array_shapes(max_dims=3, max_side=3), ragged=True)), st.data())
def test_any_part_of_any_batches_comes_back(made, data):
    encoder, groups = made
    points = [point for group in groups for point in group]
    kept = batches_of(encoder_of(encoder.to_json()), groups)
    start = data.draw(st.integers(0, len(points) - 1))
    stop = data.draw(st.integers(start + 1, len(points)))
    held = [batch for batch in kept if batch.start < stop and batch.start + batch.npoint > start]
    found = encoder.decode(held, start, stop)
    same(found, points[start:stop])
    assert isinstance(found, list) == (-1 in encoder.shape)
    if not isinstance(found, list):
        assert (found.dtype, found.shape) == (encoder.dtype, (stop - start, *encoder.shape))
        assert not found.flags.writeable
    else:
        assert not any(point.flags.writeable for point in found)


@given(numeric(), st.booleans())
def test_an_array_of_points_is_a_batch(made, noncontiguous):
    encoder, groups = made
    for group in groups:
        array = np.array(group, encoder.dtype)
        if noncontiguous:
            array = np.repeat(array, 2, axis=0)[::2]
        payload, count = encoder.encode(array)
        assert count == len(group)
        same(encoder.decode([Batch(7, count, bytes(payload))], 7, 7 + count), group)
        payload, count = encoder.encode(array[0])
        assert count == 1
        same(encoder.decode([Batch(0, 1, bytes(payload))], 0, 1), group[:1])


@given(numeric(hnp.array_shapes(max_dims=2, max_side=3), ragged=True))
def test_a_list_of_arrays_is_a_ragged_batch(made):
    encoder, groups = made
    for group in groups:
        assert encoder.encode(group) == encoder.encode_many(group)
        payload, count = encoder.encode(group[0])
        assert count == 1
        same(encoder.decode([Batch(0, 1, payload)], 0, 1), group[:1])


@given(st.lists(st.lists(JSON, min_size=1, max_size=3), min_size=1, max_size=3), st.data())
def test_json_comes_back(groups, data):
    encoder = encoder_of(JsonStreamEncoder().to_json())
    points = [point for group in groups for point in group]
    start = data.draw(st.integers(0, len(points)))
    stop = data.draw(st.integers(start, len(points)))
    kept = [b for b in batches_of(encoder, groups) if b.start < stop and b.start + b.npoint > start]
    assert repr(encoder.decode(kept, start, stop)) == repr(points[start:stop])
    assert encoder.encode(points)[1] == 1


# ------------------------------------------------------------------------------------------ strictness


@pytest.mark.parametrize(
    ("dtype", "shape", "data"),
    [
        ("f8", (), 3),
        ("f8", (), True),
        ("f8", (), [1, 2.5]),
        ("f4", (), 0.1),
        ("f4", (), math.inf),
        ("f4", (), math.nan),
        ("c16", (), 5),
        ("c16", (), [1, 2.5, 3j]),
        ("c8", (2,), [[1, 2], [3, 4]]),
        ("i2", (), -(2**15)),
        ("u8", (), 2**64 - 1),
        ("u1", (), True),
        ("?", (), [True, False]),
        (">i4", (3,), (1, 2, 3)),
        (">f8", (), 1.5),
        ("f8", (), 2**53),
        ("f8", (-1,), [1, 2, 3]),
    ],
)
def test_numbers_of_python_fit_where_they_keep_their_value(dtype, shape, data):
    encoder = NumericStreamEncoder(dtype, shape)
    payload, count = encoder.encode(data)
    found = encoder.decode([Batch(0, count, payload)], 0, count)
    expected = np.array(data, encoder.dtype)
    same(found, [expected] if expected.ndim == len(shape) else expected)


@pytest.mark.parametrize(
    ("dtype", "shape", "data"),
    [
        ("i8", (), 1.0),
        ("i8", (), [1, 2.0]),
        ("i8", (), 1j),
        ("f8", (), 1j),
        ("?", (), 1),
        ("i1", (), 128),
        ("u1", (), -1),
        ("u8", (), -1),
        ("i8", (), 2**63),
        ("u8", (), 2**64),
        ("f8", (), 2**53 + 1),
        ("f8", (), 2**63 - 1),
        ("f2", (), 70000),
        ("f4", (), 1e300),
        ("f4", (), [0.0, -1e39]),
        ("f4", (), 2**24 + 1),
        ("c8", (), 1e300j),
        ("f8", (), "1.0"),
        ("f8", (), None),
        ("f8", (), b"12345678"),
        ("f8", (), {}),
        ("f8", (), [[1.0]]),
        ("f8", (), []),
        ("f8", (), np.empty(0)),
        ("f8", (3,), np.empty((0, 3))),
        ("f8", (3,), np.zeros(4)),
        ("f8", (3,), np.zeros((3, 2))),
        ("f8", (3,), np.zeros(())),
        ("f8", (3,), [[1.0, 2.0, 3.0], [1.0, 2.0]]),
        ("f8", (), np.float32(1)),
        ("f8", (), np.int64(1)),
        ("f8", (), np.zeros(2, ">f8")),
        ("i4", (), np.zeros(2, "u4")),
        ("M8[s]", (), np.zeros(2, "M8[ms]")),
        ("M8[s]", (), 5),
        ("f8", (-1, 2), np.zeros((3, 3))),
        ("f8", (-1, 2), [np.zeros((3, 2)), np.zeros((3, 3))]),
        ("f8", (-1,), [np.zeros(2), np.zeros(2, "f4")]),
        ("f8", (-1,), np.empty((0, 3))),
        ("f8", (-1,), []),
    ],
)
def test_what_does_not_fit(dtype, shape, data):
    with pytest.raises(LayoutError):
        NumericStreamEncoder(dtype, shape).encode(data)


def test_what_does_not_fit_among_many():
    for wrong in ([], [1.0, "2"], [1.0, [2.0]], [np.float32(1)]):
        with pytest.raises(LayoutError):
            NumericStreamEncoder(float).encode_many(wrong)


def test_single_numbers_of_arrays_of_another_byte_order():
    encoder = NumericStreamEncoder(">i4")
    array = np.arange(3, dtype=">i4")
    for number in array:
        assert bytes(encoder.encode(number)[0]) == np.array(number, ">i4").tobytes()
    with pytest.raises(LayoutError):
        encoder.encode(array.astype("<i4"))


@pytest.mark.parametrize(
    ("dtype", "shape"),
    [
        ("O", ()),
        ("U5", ()),
        ("S5", ()),
        ([("a", "f8")], ()),
        ("no such", ()),
        ("f8,02", ()),
        ("f8", (0,)),
        ("f8", (-2,)),
        ("f8", "ab"),
        ("f8", (2**40,)),
        ("f8", (1,) * 17),
        ("f8", (None,)),
    ],
)
def test_what_is_no_kind_of_point(dtype, shape):
    with pytest.raises(LayoutError):
        NumericStreamEncoder(dtype, shape)


@pytest.mark.parametrize("value", [b"bytes", {1, 2}, object(), 1j, np.complex64(1), {(1, 2): 3}, np.datetime64("2020")])
def test_what_is_not_json(value):
    for nested in (value, [value], {"a": [value]}):
        with pytest.raises(LayoutError, match="JSON"):
            to_json_text(nested)
        with pytest.raises(LayoutError, match="JSON"):
            JsonStreamEncoder().encode(nested)
    round_and_round = []
    round_and_round.append(round_and_round)
    with pytest.raises(LayoutError):
        to_json_text(round_and_round)


def test_numpy_becomes_json():
    value = {"a": np.arange(4).reshape(2, 2), "b": np.float32(0.5), "c": np.bool_(True), 1: np.array(7)}
    assert from_json_text(to_json_text(value)) == {"a": [[0, 1], [2, 3]], "b": 0.5, "c": True, "1": 7}
    assert from_json_text(to_json_text("µ\udcff")) == "µ\udcff"
    assert to_json_text("µ") == '"µ"'


# --------------------------------------------------------------------------------------- damaged bytes


@given(numeric(), st.binary(max_size=64))
def test_bytes_of_another_size_are_damaged(made, garbage):
    encoder, groups = made
    (batch,) = batches_of(encoder, groups[:1])
    if len(garbage) != len(batch.payload):
        with pytest.raises(DataError):
            encoder.decode([batch._replace(payload=garbage)], 0, 1)
    with pytest.raises(DataError):
        encoder.decode([batch._replace(npoint=batch.npoint + 1)], 0, 1)


@given(numeric(hnp.array_shapes(max_dims=2, max_side=3), ragged=True), st.binary(max_size=64), st.integers(1, 5))
def test_ragged_bytes_that_are_garbage_are_an_error_or_points(made, garbage, npoint):
    encoder, groups = made
    try:
        found = encoder.decode([Batch(0, npoint, garbage)], 0, npoint)
    except DataError:
        pass
    else:
        assert encoder.encode_many(found) == (garbage, npoint)
    (batch,) = batches_of(encoder, groups[:1])
    for payload in (batch.payload[:-1], batch.payload + b"\0"):
        with pytest.raises(DataError):
            encoder.decode([batch._replace(payload=payload)], 0, 1)


def test_ragged_lengths_beyond_all_bounds():
    for lengths in ([2**62, 0], [0, 2**62], [2**63 - 1, 2**63 - 1], [-1, -1], [-1, 1], [2**31, 2**31]):
        with pytest.raises(DataError):
            NumericStreamEncoder("f8", (-1, -1, 2**20)).decode([Batch(0, 1, np.array(lengths).tobytes())], 0, 1)


@given(st.binary() | st.sampled_from([b"[1,2]", b"{}", b"1", b"[", b"[" * 10**5, b"\xff", b"[1,]"]))
def test_json_that_is_garbage(garbage):
    with pytest.raises(DataError):
        JsonStreamEncoder().decode([Batch(0, 1, garbage)], 0, 1)


@pytest.mark.parametrize(
    "description",
    [
        {},
        {"type": "lima"},
        {"type": "numeric"},
        {"type": "numeric", "dtype": "O", "shape": []},
        {"type": "numeric", "dtype": "<f8", "shape": ["x"]},
        {"type": "numeric", "dtype": "<f8", "shape": None},
        {"type": "numeric", "dtype": 5, "shape": []},
        {"type": ["numeric"]},
    ],
)
def test_descriptions_of_nothing(description):
    with pytest.raises(DataError):
        encoder_of(description)


@pytest.mark.parametrize(
    "encoder", [NumericStreamEncoder(">c8", (2, -1)), JsonStreamEncoder(), NumericStreamEncoder("M8[ns]")]
)
def test_encoders_are_made_again_from_json(encoder):
    again = encoder_of(from_json_text(to_json_text(encoder.to_json())))
    assert repr(again) == repr(encoder)
    assert again.point_nbytes == encoder.point_nbytes
