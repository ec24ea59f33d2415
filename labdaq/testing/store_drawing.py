"""What the machine of stores draws: kinds of points, points, infos, indices."""

from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import strategies as st

from labdaq.store import JsonStreamEncoder, NumericStreamEncoder, Stream

__all__ = ["ANY", "DRAWN_INFO", "DRAWN_VALUES", "ENCODERS", "NAMES", "SLICES", "SMALL", "send_batch"]

ENCODERS: dict[str, Callable[[], NumericStreamEncoder | JsonStreamEncoder]] = {
    "float": lambda: NumericStreamEncoder("f8"),
    "vector": lambda: NumericStreamEncoder("i4", (2,)),
    "ragged": lambda: NumericStreamEncoder("u1", (-1,)),
    "json": JsonStreamEncoder,
}
DRAWN_VALUES = {
    "float": st.floats(allow_nan=False),
    "vector": st.lists(st.integers(-(2**31), 2**31 - 1), min_size=2, max_size=2),
    "ragged": st.lists(st.integers(0, 255), max_size=4),
    "json": st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
        max_leaves=4,
    ),
}
DRAWN_INFO = st.dictionaries(st.sampled_from("abc"), st.integers(-5, 5) | st.text(max_size=3), max_size=2)
ANY = st.integers(0, 10**6)  # picks one of those that there are
SMALL = st.integers(-12, 12)
SLICES = st.builds(slice, st.none() | SMALL, st.none() | SMALL, st.none() | SMALL.filter(bool))
NAMES = ("muon", "muon_2", "pion")


def send_batch(stream: Stream, kind: str, points: list[Any], is_batch: bool) -> None:
    """Send points in one call, as a point or a batch, until they are acknowledged."""
    arrays = points if kind == "json" else [np.array(p, stream.dtype) for p in points]
    if not is_batch:
        stream.send(arrays[0])
    elif kind == "json":
        stream.send_many(arrays)
    else:
        stream.send(arrays if kind == "ragged" else np.array(arrays))
    stream.join()
