"""Suites from files: what is read, and what is said when something is wrong."""

import copy
import json
import re

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from labdaq.errors import DataError, LayoutError, MissingExtraError, NotFoundError
from labdaq.pipeline.suite import load_suite, open_suite
from tests.pipeline.suite.files import SUITE, package, write


def test_a_suite_is_a_frozen_description(tmp_path):
    suite = load_suite(write(tmp_path))
    assert suite.rings["raw"].shape == (8,)
    assert suite.workers["find"].writes == ("high",)
    assert suite.limits.seconds == 20
    assert suite.path == tmp_path / "suite.yaml"
    with pytest.raises(ValueError, match="frozen"):
        suite.name = "other"


def test_nothing_is_imported(tmp_path):
    load_suite(write(tmp_path, counting="raise SystemExit('imported')"))


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("limits:", "limit:", r"19: limit: this key is not known; did you mean 'limits'\?"),
        ("capacity: 16", "capcity: 16", r"5: rings\.raw\.capcity: this key is not known; did you mean 'capacity'\?"),
        ("capacity: 16", "capacity: many", r"5: rings\.raw\.capacity: expected a whole number; it is 'many'"),
        ("capacity: 16", "capacity: true", r"5: rings\.raw\.capacity: expected a whole number; it is True"),
        ("shape: [8]", "shape: [8, 0]", r"5: rings\.raw\.shape\.1: expected greater than or equal to 1; it is 0"),
        ("float64, shape", "flaot64, shape", r"5: rings\.raw\.dtype: expected a dtype of NumPy .*'flaot64'"),
        ("n: int32", "n: object", r"6: rings\.high\.dtype: .*Python objects"),
        ("n: int32", "n: [1]", r"6: rings\.high\.dtype: expected the name of a dtype"),
        ("    filter:", "    filtr:", r"12: workers\.find: expected exactly one of .*'filtr'.* did you mean 'filter'"),
        ("    filter:", "    source: x\n    filter:", r"12: workers\.find: expected exactly one of"),
        ("    reads: raw", "    reeds: raw", r"16: workers\.find\.reeds: .*did you mean 'reads'"),
        ("    reads: raw", "    reads: rwa", r"16: workers\.find\.reads: there is no ring 'rwa'; did you mean 'raw'"),
        ("    reads: raw\n", "", r"12: workers\.find\.reads: this key is missing; there are: filter, settings, writes"),
        ("writes: high", "writes: [high, hihg]", r"17: workers\.find\.writes: there is no ring 'hihg'"),
        ("writes: high", "writes: []", r"17: workers\.find\.writes: a list should have at least 1"),
        ("seconds: 20", "seconds: .inf", r"19: limits\.seconds: expected a finite number"),
        ("seconds: 20", "events: 0", r"19: limits\.events: expected greater than or equal to 1"),
        ("name: heights", "name: a/b", r"1: name: a text should match pattern"),
        ("name: heights", "name: 5", r"1: name: expected a text; it is 5"),
        ("name: heights\n", "", r"1: name: this key is missing"),
        ("find.level: 4", "find.level: [4]", r"20: parameters\.find\.level"),
        ("  table: {", "  ta/ble: {", r"18: workers\.ta/ble: a text should match"),
        ("reads: high}", "reads: high, run_in: thread}", r"18: workers\.table\.run_in: .*did you mean 'threads'"),
    ],
)  # fmt: skip
def test_a_wrong_key_or_value_is_told_with_file_line_and_path(tmp_path, old, new, told):
    assert old in SUITE
    path = write(tmp_path, SUITE.replace(old, new, 1))
    text = path.read_text()
    at = re.match(r"\d+", told)[0]
    with pytest.raises((LayoutError, NotFoundError)) as raised:
        load_suite(path)
    assert re.search(f"^{re.escape(str(path))}:{told}", str(raised.value), re.MULTILINE), raised.value
    assert int(at) <= len(text.splitlines())


def test_several_problems_are_told_at_once(tmp_path):
    path = write(tmp_path, SUITE.replace("seconds: 20", "a: 1, b: 2, c: 3, d: 4, e: 5, f: 6, g: 7"))
    with pytest.raises(LayoutError) as raised:
        load_suite(path)
    lines = str(raised.value).splitlines()
    assert [line.partition("limits.")[2][:1] for line in lines[:5]] == list("abcde")
    assert lines[5:] == ["and 2 more"]


def places(value, path=()):
    """Paths to everything in a suite."""
    yield path
    for key, one in value.items() if isinstance(value, dict) else ():
        yield from places(one, (*path, key))


WHOLE = yaml.safe_load(SUITE)
ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["raw", "f4,f4", "(3"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=100)
@given(st.sampled_from(list(places(WHOLE))), ANYTHING, st.none() | st.text(max_size=8))
def test_any_change_is_a_suite_or_a_typed_error(tmp_path_factory, path, value, key):
    """A value is replaced by another, or one is added to a mapping."""
    content = changed = copy.deepcopy({"": WHOLE})
    *above, last = ("", *path)
    for one in above:
        changed = changed[one]
    if key is not None and isinstance(changed[last], dict):
        changed, last = changed[last], key
    changed[last] = value
    file = tmp_path_factory.getbasetemp() / "changed.yaml"
    file.write_text(json.dumps(content[""]).replace("NaN", ".nan").replace("Infinity", ".inf"))
    told = str(file)
    try:
        assert load_suite(file).name
    except (LayoutError, NotFoundError, DataError) as error:
        told = str(error)
    assert told.startswith(str(file))


class TestLayers:
    def test_the_upper_file_wins_key_by_key(self, tmp_path):
        write(tmp_path / "shared", name="base.yaml")
        (tmp_path / "suite.yaml").write_text(
            "base: shared/base.yaml\nname: mine\nrings: {raw: {capacity: 32}}\n"
            "workers:\n  pulses:\n    settings: {events: 3}\n"
        )
        suite = load_suite(tmp_path / "suite.yaml")
        assert suite.name == "mine"
        assert (suite.rings["raw"].capacity, suite.rings["raw"].shape) == (32, (8,))
        assert suite.workers["pulses"].settings == {"events": 3}
        assert suite.workers["find"].filter == "counting.find"

    def test_folders_start_from_the_file_that_names_them(self, tmp_path):
        write(tmp_path / "shared", SUITE.replace("store: null", "store: data"), name="base.yaml")
        (tmp_path / "suite.yaml").write_text("base: shared/base.yaml\n")
        suite = load_suite(tmp_path / "suite.yaml")
        assert suite.place_of("modules") == tmp_path / "shared" / "modules"
        assert suite.store_place() == str(tmp_path / "shared" / "data")

    def test_a_wrong_value_is_told_where_it_stands(self, tmp_path):
        write(tmp_path, SUITE.replace("capacity: 16", "capacity: -1"), name="base.yaml")
        (tmp_path / "suite.yaml").write_text("base: base.yaml\n")
        with pytest.raises(LayoutError, match=r"base\.yaml:5: rings\.raw\.capacity"):
            load_suite(tmp_path / "suite.yaml")

    def test_a_circle_is_told(self, tmp_path):
        (tmp_path / "a.yaml").write_text("base: b.yaml\n")
        (tmp_path / "b.yaml").write_text("base: ./a.yaml\n")
        with pytest.raises(DataError, match=r"b\.yaml:1: base: a\.yaml -> b\.yaml -> a\.yaml"):
            load_suite(tmp_path / "a.yaml")

    def test_a_missing_base_is_told_with_its_place(self, tmp_path):
        (tmp_path / "a.yaml").write_text("name: x\nbase: c.yaml\n")
        with pytest.raises(NotFoundError, match=r"a\.yaml:2: base: there is no file .*c\.yaml"):
            load_suite(tmp_path / "a.yaml")

    def test_a_base_is_one_name(self, tmp_path):
        (tmp_path / "a.yaml").write_text("base: [b.yaml]\n")
        with pytest.raises(DataError, match=r"a\.yaml:1: base: the name of a file is expected"):
            load_suite(tmp_path / "a.yaml")


OTHER = "RingBuffer:\n  - RB_1: {number_of_slots: 4}\nFunctions:\n  - Fkt_main: {}\n"
TAKER = """
class Run:
    def __init__(self, path):
        self.path = path
    def run(self, events=None, seconds=None):
        return f"ran {self.path.name} for {events} events"
"""


class TestSuitesOfOthers:
    @pytest.mark.parametrize(("text", "name"), [(OTHER, "mimocorb"), ("Buffers: {}\nWorkers: {}\n", "mimocorb3")])
    def test_without_a_taker_it_is_said_what_is_missing(self, tmp_path, text, name):
        (tmp_path / "other.yaml").write_text(text)
        known = name if name == "mimocorb" else "mimocorb2"
        with pytest.raises(LayoutError, match=f"a suite of {known}"):
            load_suite(tmp_path / "other.yaml")

    def test_they_are_handed_to_their_entry_point(self, tmp_path, monkeypatch):
        (tmp_path / "other.yaml").write_text("Buffers: {}\nWorkers: {}\n")
        package(tmp_path, "labdaq.suites", "mimocorb2", "taking_others:Run", TAKER)
        monkeypatch.syspath_prepend(tmp_path)
        taken = open_suite(tmp_path / "other.yaml")
        assert taken.run(5) == "ran other.yaml for 5 events"

    def test_an_entry_point_that_is_missing_is_named(self, tmp_path, monkeypatch):
        monkeypatch.setattr("labdaq.pipeline.suite.loading.entry_points", lambda group: ())
        (tmp_path / "other.yaml").write_text(OTHER)
        with pytest.raises(MissingExtraError, match=r"entry point 'mimocorb' in the group 'labdaq\.suites'"):
            open_suite(tmp_path / "other.yaml")
