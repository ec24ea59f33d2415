"""YAML with lines: what is read, and what no file can do."""

import math
import os
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labdaq.errors import DataError, NotFoundError
from labdaq.pipeline.suite.tree import nearest, read_tree, scalar

BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12)
)
TOWER = "t0: &t0 [x]\n" + "".join(f"t{n}: &t{n} {'[' * 20}*t{n - 1}{']' * 20}\n" for n in range(1, 60))


@pytest.fixture
def read(tmp_path):
    def read_text(text):
        path = tmp_path / "s.yaml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return read_tree(path)

    return read_text


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1), ("-3", -3), ("0x1F", 31), ("0o17", 15), ("1.5", 1.5), ("1e4", 1e4), (".5", 0.5), ("-.inf", -math.inf),
        ("true", True), ("False", False), ("~", None), ("null", None), ("", None),
        ("yes", "yes"), ("on", "on"), ("12:30:00", "12:30:00"), ("2024-01-01", "2024-01-01"), ("1_000", "1_000"),
    ],
)  # fmt: skip
def test_scalars_are_those_of_yaml_1_2(text, value):
    found = scalar(text)
    assert (found, type(found)) == (value, type(value))


def test_not_a_number():
    assert math.isnan(scalar(".nan"))


def test_quotes_make_texts(read):
    assert read("a: '1'\nb: \"true\"\nc: |\n  x\n").plain() == {"a": "1", "b": "true", "c": "x\n"}


def test_every_value_knows_its_line(read):
    tree = read("a: 1\n\nb:\n  c:\n    - 4\n    - 5\n  d: 3\n")
    assert tree.plain() == {"a": 1, "b": {"c": [4, 5], "d": 3}}
    lines = [tree.nearest_to(path).line for path in (["a"], ["b"], ["b", "c"], ["b", "c", 1], ["b", "d"])]
    assert lines == [1, 3, 4, 6, 7]


def test_the_nearest_that_exists_is_found(read):
    tree = read("a:\n  b: [1]\n")
    assert tree.nearest_to(["a", "x", "y"]).line == 1
    assert tree.nearest_to(["a", "b", 7]).plain() == [1]


def test_aliases_and_merges(read):
    tree = read("a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}\nc: {<<: [{x: 5}, *a]}\nd: *a\n")
    assert tree.plain() == {"a": {"x": 1, "y": 2}, "b": {"x": 1, "y": 3}, "c": {"x": 5, "y": 2}, "d": {"x": 1, "y": 2}}


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n", "~\n"])
def test_an_empty_file_is_an_empty_mapping(read, text):
    assert read(text).plain() == {}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a: [1, 2\nb: 3\n", "s.yaml:2: this is no YAML"),
        ("a:\n\t- 1\n", "s.yaml:2: this is no YAML"),
        ("- 1\n", r"s.yaml:1: keys with values are expected"),
        ("a: 1\nb: 2\na: 3\n", "s.yaml:3: a: this key is here twice: in line 1"),
        ("x:\n  a: !!python/object/apply:os.system ['true']\n", "s.yaml:2: x.a: tags such as"),
        ("a: !mine 3\n", "s.yaml:1: a: tags"),
        ("a: 1\n---\nb: 2\n", "s.yaml:2: a second document"),
        ("a: &a {b: *a}\n", r"s.yaml:1: a.b: \*a contains itself"),
        ("a: *b\n", "s.yaml:1: (this is no YAML|a: nothing is marked)"),
        ("? [1, 2]\n: 3\n", "a key is a word"),
        ("a: {<<: 3}\n", "what is merged are mappings"),
        (f"a: {'9' * 5000}\n", "s.yaml:1: a: a number of 5000 digits"),
        (b"a: \xff\n", "s.yaml:1: this is no text in UTF-8"),
        (b"a: 1\nb: \x00\n", "this is no YAML"),
        (b"a: " + b"x" * (257 << 10), "larger than 256 KiB"),
        ("a: " + "[" * 60 + "]" * 60, "s.yaml:1: a: this is deeper than 40 levels"),
        ("[" * 100_000, "deeper than 40 levels"),
        (TOWER, "deeper than 40 levels"),
        (BOMB, "more than 50000 values"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_with_its_line(read, text, told):
    with pytest.raises(DataError, match=told):
        read(text)


def test_a_bomb_takes_little_memory(read):
    tracemalloc.start()
    try:
        with pytest.raises(DataError):
            read(BOMB)
        _, peak_nbytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_nbytes < 4 << 20


def test_a_missing_file_is_told_with_the_nearest(tmp_path):
    (tmp_path / "suite.yaml").touch()
    with pytest.raises(NotFoundError, match=r"siute\.yaml; did you mean 'suite\.yaml'"):
        read_tree(tmp_path / "siute.yaml")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="POSIX has such files")
def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "s.yaml")
    with pytest.raises(NotFoundError):
        read_tree(tmp_path / "s.yaml")


def test_nearest_says_nothing_of_many():
    assert nearest("x", range(100)) == ""


@settings(max_examples=60)
@given(st.one_of(st.binary(max_size=60), st.text("ab:-[]{}&*!<'\"|>#%@`?, \n\t0.", max_size=60).map(str.encode)))
def test_garbage_is_a_tree_or_a_data_error(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "garbage.yaml"
    path.write_bytes(content)
    told = str(path)
    try:
        assert isinstance(read_tree(path).plain(), dict)
    except DataError as error:
        told = str(error)
    assert str(path) in told
