"""What a frame is: names of radio astronomy, dtypes of NumPy, packed numbers, and clear refusals."""

import numpy as np
import pytest

from labdaq.errors import LayoutError
from labdaq.ring import Tensor
from labdaq.ring.tensor import element

COMPLEX8 = np.dtype([("re", "i1"), ("im", "i1")])


@pytest.mark.parametrize(
    ("name", "shape", "dtype", "stored"),
    [
        ("ci4", (16, 109), "u1", (16, 109)),
        ("ci2", (4,), "u1", (2,)),
        ("ci1", (8,), "u1", (2,)),
        ("ci8", (3,), COMPLEX8, (3,)),
        ("cu16", (), [("re", "u2"), ("im", "u2")], ()),
        ("cf16", (2,), [("re", "f2"), ("im", "f2")], (2,)),
        ("cf32", (2,), "c8", (2,)),
        ("cf64", (2,), "c16", (2,)),
        ("uint1", (16,), "u1", (2,)),
        ("int4", (2, 6), "u1", (2, 3)),
        ("i16", (2,), "i2", (2,)),
        ("u32", 3, "u4", (3,)),
        ("f64", (), "f8", ()),
        ("float32", (5,), "f4", (5,)),
        (">i2", (5,), ">i2", (5,)),
        (np.complex64, (1,), "c8", (1,)),
    ],
)
def test_types_and_how_they_are_stored(name, shape, dtype, stored):
    tensor = Tensor.parse({"dtype": name, "shape": shape})
    assert (tensor.stored_dtype, tensor.stored_shape) == (np.dtype(dtype), stored)
    assert tensor.frame_nbytes == np.dtype(dtype).itemsize * int(np.prod(stored, dtype=int))
    assert Tensor.parse(tensor.to_dict()) == tensor
    assert Tensor.parse(tensor) is tensor


def test_the_axes_are_kept():
    description = {
        "dtype": "float32",
        "shape": (2, 3),
        "labels": ["a", "b"],
        "scales": [(0, 1), None],
        "units": ["m", "s"],
    }
    tensor = Tensor.parse(description)
    assert (tensor.labels, tensor.scales, tensor.units) == (("a", "b"), ((0, 1), None), ("m", "s"))


@pytest.mark.parametrize(
    "wrong",
    [
        {"shape": (3,)},
        {"dtype": "ci5"},
        {"dtype": "cf8"},
        {"dtype": "none such"},
        {"dtype": "O"},
        {"dtype": [("a", "f4")]},
        {"dtype": "uint4", "shape": (3,)},
        {"dtype": "ci2", "shape": (2, 3)},
        {"dtype": "uint1"},
        {"dtype": "float32", "shape": (-1, 3)},
        {"dtype": "float32", "shape": (3,), "units": ["m", "s"]},
        {"dtype": "float32", "colour": "red"},
    ],
)
def test_what_is_no_tensor_is_refused(wrong):
    with pytest.raises(LayoutError):
        Tensor.parse(wrong)


@pytest.mark.parametrize("name", ["i8", "u1", "u4", "i2"])
def test_names_with_two_meanings_are_refused_with_both(name):
    with pytest.raises(LayoutError, match=r"two meanings.*bits.*bytes"):
        Tensor.parse({"dtype": name})


def test_names_that_are_not_of_radio_astronomy_are_none():
    assert element("float32") is None
    assert element("c8") is None
