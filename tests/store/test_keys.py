"""Keys and time tags: what they look like, how they are ordered, and what is none."""

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labdaq.errors import DataError
from labdaq.store.keys import FIRST_TAG, check_key, new_key, tag_order, ulid_of

LETTERS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def number_of(key):
    """The 128 bits of a ULID."""
    number = 0
    for letter in ulid_of(key):
        number = number * 32 + LETTERS.index(letter)
    return number


@pytest.mark.parametrize("kind", ["scan", "stream"])
def test_a_key_holds_the_time_and_chance(kind):
    before = time.time_ns() // 1_000_000
    keys = [new_key(kind) for _ in range(1000)]
    after = time.time_ns() // 1_000_000
    assert len(set(keys)) == 1000
    assert all(re.fullmatch(rf"labdaq:{kind}:[0-7][{LETTERS}]{{25}}", key) for key in keys)
    assert all(before <= number_of(key) >> 80 <= after for key in keys)
    assert len({number_of(key) & (2**80 - 1) for key in keys}) == 1000
    assert [check_key(key, kind) for key in keys] == keys


def test_keys_sort_by_time():
    first = new_key("scan")
    begin = time.time_ns() // 1_000_000
    while time.time_ns() // 1_000_000 == begin:
        pass
    assert first < new_key("scan")


GOOD = "labdaq:scan:01HCYP7ARJ4NSG9VGPGDX6SN2X"


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        GOOD.replace("scan", "stream"),
        GOOD.replace("scan", "other"),
        GOOD.lower(),
        GOOD + "0",
        GOOD[:-1],
        GOOD + "\n",
        " " + GOOD,
        GOOD.replace("01H", "81H"),
        GOOD.replace("X", "U"),
        GOOD.replace("X", "/"),
        "labdaq:scan:" + "../" * 9,
        None,
        5,
        GOOD.encode(),
    ],
)
def test_what_is_no_key_of_a_scan(wrong):
    with pytest.raises(DataError):
        check_key(wrong, "scan")
    assert check_key(GOOD, "scan") == GOOD


@given(st.text())
def test_texts_are_no_keys(text):
    with pytest.raises(DataError):
        check_key(text, "stream")


@given(st.integers(0, 10**15 - 1), st.integers(0, 10**19 - 1))
def test_time_tags_are_two_numbers(ms, place):
    assert tag_order(f"{ms}-{place}") == (ms, place)


def test_the_beginning():
    assert tag_order(FIRST_TAG) == tag_order(0) == (0, 0)


@pytest.mark.parametrize(
    "wrong",
    ["", "1", "-1", "1-", "1-2-3", "a-b", "1-2\n", "1.0-2", "\u0663-\u0661", 5, -1, None, 1.5, b"1-2", "1-" + "9" * 20],
)
def test_what_is_no_time_tag(wrong):
    with pytest.raises(DataError):
        tag_order(wrong)
