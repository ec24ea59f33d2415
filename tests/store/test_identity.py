"""Who a scan is, and what may be searched for."""

import math
from datetime import datetime, timedelta, timezone
from enum import Enum

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labdaq.errors import LayoutError
from labdaq.store import ScanState
from labdaq.store.engine import ScanRecord
from labdaq.store.identity import IdentityModel, Query
from labdaq.store.matching import matches

WHO = {"name": "muon", "number": 1, "data_policy": "none"}


def test_every_field_is_there():
    model = IdentityModel(["operator", "kelvin"])
    identity = model.checked({**WHO, "kelvin": 4.2})
    assert tuple(identity) == model.fields
    assert {name: value for name, value in identity.items() if value is not None} == {**WHO, "kelvin": 4.2}
    assert model.fields[-2:] == ("operator", "kelvin")
    assert IdentityModel(model.fields).fields == model.fields


def test_numbers_of_numpy_become_python():
    model = IdentityModel(["kelvin"])
    identity = model.checked({**WHO, "number": np.int32(5), "kelvin": np.float32(0.5), "session": np.str_("a")})
    assert [type(identity[name]) for name in ("number", "kelvin", "session")] == [int, float, str]


def test_enumerations_become_texts_and_numbers():
    class Kind(str, Enum):  # noqa: UP042 - its str() is another text
        MUON = "muon"

    identity = IdentityModel().checked({**WHO, "name": Kind.MUON, "number": ScanState.STOPPED})
    assert [repr(identity[name]) for name in ("name", "number")] == ["'muon'", "3"]


@pytest.mark.parametrize("missing", sorted(WHO))
def test_what_is_required(missing):
    with pytest.raises(LayoutError, match=f"missing: {missing}"):
        IdentityModel().checked({name: value for name, value in WHO.items() if name != missing})
    with pytest.raises(LayoutError, match=f"missing: {missing}"):
        IdentityModel().checked({**WHO, missing: None})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("name", 1),
        ("name", b"x"),
        ("name", "x" * 1025),
        ("name", "a\0"),
        ("name", "\udcff"),
        ("number", 1.0),
        ("number", "1"),
        ("number", True),
        ("number", 2**53 + 1),
        ("session", 3),
        ("own", True),
        ("own", np.True_),
        ("own", math.nan),
        ("own", math.inf),
        ("own", [1]),
        ("own", 1j),
        ("own", np.arange(3)),
        ("unknown", "x"),
    ],
)
def test_values_that_are_none(name, value):
    model = IdentityModel(["own"])
    with pytest.raises(LayoutError):
        model.checked({**WHO, name: value})
    with pytest.raises(LayoutError):
        model.query({name: value})
    with pytest.raises(LayoutError):
        model.query({name: (value, None)})


@pytest.mark.parametrize("name", ["", "two words", "_hidden", "1st", "created", "order", "limit", "info", "key", "a-b"])
def test_names_that_are_none(name):
    with pytest.raises(LayoutError):
        IdentityModel([name])


def test_the_limits_of_labels():
    identity = IdentityModel(["own"]).checked({**WHO, "name": "x" * 1024, "number": -(2**53), "own": 2.0**53})
    assert identity["number"] == -(2**53)


# ---------------------------------------------------------------------------------------------- search


def test_terms_are_sorted_by_what_they_ask_for():
    model = IdentityModel(["own"])
    query = model.query(
        {"name": "mu*", "number": (1, None), "session": "a", "own": 3, "path": ("a", "b*")},
        created=(None, 5),
        order="newest",
        limit=np.int64(4),
    )
    assert query == Query(
        {"session": "a", "own": 3},
        {"name": "mu"},
        {"number": (1, None), "path": ("a", "b*")},
        (None, 5_000_000_000),
        newest_first=True,
        limit=4,
    )
    assert model.query({}) == Query()


@pytest.mark.parametrize(
    "term",
    [None, (1,), (1, 2, 3), (), ("a", 1), (1, "a"), ("*", math.nan), "\udcff*", "x" * 2000 + "*", ["a", "b"], {}],
)
def test_terms_that_are_none(term):
    with pytest.raises(LayoutError):
        IdentityModel(["own"]).query({"own": term})


def test_a_number_has_no_beginning():
    with pytest.raises(LayoutError, match="integer"):
        IdentityModel().query({"number": "1*"})


def test_the_fields_are_listed():
    with pytest.raises(LayoutError, match=r"'a', 'b'.*name, number, data_policy, session.*own"):
        IdentityModel(["own"]).query({"b": 1, "name": "x", "a": 2})


@pytest.mark.parametrize(
    "wrong",
    [
        {"order": "best"},
        {"limit": -1},
        {"created": (1,)},
        {"created": ("a", None)},
        {"created": (math.nan, None)},
        {"created": (None, True)},
    ],
)
def test_options_that_are_none(wrong):
    with pytest.raises(LayoutError):
        IdentityModel().query({}, **wrong)


def test_times():
    moment = datetime(2024, 5, 6, 7, 8, 9, tzinfo=timezone(timedelta(hours=2)))
    query = IdentityModel().query({}, created=(moment, moment.timestamp() + 1))
    assert query.created_ns == (1_714_972_089_000_000_000, 1_714_972_090_000_000_000)
    low, high = IdentityModel().query({}, created=(-1e308, 1e308)).created_ns
    assert -(2**63) <= low < 0 < 2**60 < high < 2**63


VALUES = st.none() | st.text("ab*%_Aé", max_size=3) | st.integers(-3, 3) | st.floats(-3, 3)


@given(VALUES, VALUES.filter(lambda v: v is not None), VALUES, VALUES)
def test_what_matches(value, exact, low, high):
    model = IdentityModel(["own"])
    scan = ScanRecord("…", 5, model.checked({**WHO, "own": value}))

    def found(**terms):
        return matches(scan, model.query(terms))

    alike = value is not None and isinstance(value, str) == isinstance(exact, str)
    if not (isinstance(exact, str) and exact.endswith("*")):
        assert found(own=exact) == (alike and value == exact)
    if isinstance(exact, str):
        assert found(own=exact + "*") == (isinstance(value, str) and value.startswith(exact))
    if {type(low) is str, type(high) is str} - {None} == {False} and value is not None and not isinstance(value, str):
        within = (low is None or value >= low) and (high is None or value <= high)
        assert found(own=(low, high)) == within
    assert found(name="muon")
    assert not found(name="Muon")


def test_a_scan_of_before_the_field():
    old = ScanRecord("…", 5, IdentityModel().checked(WHO))
    model = IdentityModel(["own"])
    for term in ("*", "a", 1, (None, None), (1, 2)):
        assert not matches(old, model.query({"own": term}))


@pytest.mark.parametrize(
    ("created", "found"), [((None, None), True), ((5e-9, 5e-9), True), ((6e-9, None), False), ((None, 4e-9), False)]
)
def test_created_between(created, found):
    assert (
        matches(ScanRecord("…", 5, IdentityModel().checked(WHO)), IdentityModel().query({}, created=created)) is found
    )


@pytest.mark.parametrize("name", ["state", "streams", "identity", "info", "created", "to_pandas"])
def test_fields_do_not_hide_what_a_scan_has(name):
    with pytest.raises(LayoutError, match="not taken"):
        IdentityModel([name])


def test_all_names_of_scans_are_taken():
    from labdaq.store import Scan
    from labdaq.store.identity import _TAKEN

    assert {name for name in dir(Scan) if not name.startswith("_")} <= _TAKEN
