"""Text to records: rubbish is counted and never an error."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labdaq.devices.records import Fields, LineSplitter
from labdaq.errors import LayoutError


@pytest.mark.parametrize("line", ["1,2.5", "1;2.5", "1\t2.5", " 1  2.5 ", "1 , 2.5", "1.0, 2.5e0"])
def test_separators(line):
    assert Fields({"n": "i4", "x": "f8"}).of_text(line) == (1, 2.5)


@pytest.mark.parametrize(
    "line", ["", "1", "1,2,3", "1,,2", "a,b", "1.5,2", "1e99,2", "3000000000,2", "nan,2", "0x1,2", "\ufffd,2", "1,2,"]
)
def test_lines_that_hold_no_record(line):
    assert Fields({"n": "i4", "x": "f8"}).of_text(line) is None


@pytest.mark.parametrize(
    "text", ["", "{", "null", "1", "[1]", '{"n": 1}', '{"n": true, "x": 1}', '{"n": [1], "x": 2}', "[" * 10**5]
)
def test_json_that_holds_no_record(text):
    assert Fields({"n": "i4", "x": "f8"}).of_json(text) is None


@given(st.text(max_size=30) | st.binary(max_size=30).map(lambda raw: raw.decode("utf-8", "replace")))
def test_any_text(text):
    fields = Fields({"n": "u1", "x": "f4"})
    for record in fields.of_text(text), fields.of_json(text):
        if record is not None:
            np.zeros((), fields.dtype)[...] = record


@given(st.integers() | st.floats() | st.text(max_size=5) | st.none())
def test_any_json_value(value):
    fields = Fields({"n": "i8"})
    record = fields.of_json(json.dumps({"n": value}))
    assert record is None or np.array([record], fields.dtype)["n"][0] == float(value) or record[0] == value


@given(st.lists(st.text("0123456789,", max_size=8), max_size=20), st.data())
def test_lines_are_found_however_they_are_cut(lines, data):
    stream = "".join(f"{line}\n" for line in lines).encode()
    splitter, found = LineSplitter(8), []
    while stream:
        size = data.draw(st.integers(1, len(stream)))
        found += splitter.feed(stream[:size])
        stream = stream[size:]
    assert found == lines
    assert splitter.too_long == 0


def test_a_line_without_end_takes_no_memory_and_counts_once():
    splitter = LineSplitter(100)
    for _ in range(1000):
        assert splitter.feed(b"x" * 50) == []
        assert len(splitter._rest) <= 150
    assert splitter.feed(b"\n1\n") == ["1"]
    assert splitter.too_long == 1


def test_what_is_under_way_is_left_out():
    splitter = LineSplitter(100, partial=True)
    assert splitter.feed(b"34") == []
    assert splitter.feed(b"5\n1\n2") == ["1"]


@pytest.mark.parametrize("names", [[], {}, [""], {"a": "U5"}, {"a": "nonsense"}, ["a", "a"][:0], {"a": ("f8", (2,))}])
def test_what_is_no_field(names):
    with pytest.raises(LayoutError):
        Fields(names)


def test_whole_numbers_are_exact():
    fields = Fields({"n": "i8"})
    assert fields.of_text("9007199254740993") == fields.of_json('{"n": 9007199254740993}') == (9007199254740993,)
    assert fields.of_text("7.0") == (7,)
    assert fields.of_text("7.5") == fields.of_text("1_000") == fields.of_json('{"n": 7.5}') == None  # noqa: E711


def test_what_is_too_large_for_a_field():
    assert Fields({"x": "f4"}).of_text("1e300") is None
    assert Fields({"x": "f4"}).of_text("-inf") == (-np.inf,)
