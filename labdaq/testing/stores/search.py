"""Finding scans: what is there, and what comes next."""

import re
import threading
import time
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from labdaq.errors import DataError, LayoutError
from labdaq.store import DataStore, NoScanAvailable
from labdaq.store.keys import tag_order
from labdaq.testing.rings import run_threads
from labdaq.testing.stores.base import StoreBase, while_it_waits

__all__ = ["SearchTests"]

ODD_NAMES = ("muon", "Muon", "muon_2", "muon%2", "mu*on", "mu?n", "[a-z]", "", 'it\'s "x"', "µ ö 漢", "a:b{c}", "\\")


class SearchTests(StoreBase):
    """`search_existing_scans`, `get_next_scan`, `get_last_scan`."""

    def test_nothing_is_there(self, store: DataStore) -> None:
        assert store.search_existing_scans() == ("0-0", [])
        with pytest.raises(NoScanAvailable):
            store.get_last_scan()
        for since in (0, None, "0-0"):
            with pytest.raises(NoScanAvailable):
                store.get_next_scan(since, block=False)
            for timeout in (1e-6, 0.05):
                with pytest.raises(NoScanAvailable):
                    store.get_next_scan(since, timeout=timeout)

    # --------------------------------------------------------------------------------------- search

    @pytest.fixture
    def numbers(self, store: DataStore) -> list[str]:
        """Keys of scans with the numbers -2 to 7, by turns of two names and with three datasets."""
        return [
            self.make(store, f"s{n % 2}", n, dataset=None if n % 3 == 0 else f"set_{n % 3}", session=f"day{n:02}").key
            for n in range(-2, 8)
        ]

    @pytest.mark.parametrize(
        ("terms", "found"),
        [
            ({}, range(-2, 8)),
            ({"number": 3}, [3]),
            ({"number": 30}, []),
            ({"name": "s1"}, [-1, 1, 3, 5, 7]),
            ({"name": "s"}, []),
            ({"name": "s*"}, range(-2, 8)),
            ({"name": "S*"}, []),
            ({"name": "*"}, range(-2, 8)),
            ({"dataset": "*"}, [-2, -1, 1, 2, 4, 5, 7]),
            ({"dataset": "set_1"}, [-2, 1, 4, 7]),
            ({"dataset": "set_1", "name": "s0"}, [-2, 4]),
            ({"dataset": "set_1*", "name": "s0", "number": (0, None)}, [4]),
            ({"proposal": "*"}, []),
            ({"number": (2, 4)}, [2, 3, 4]),
            ({"number": (4, 2)}, []),
            ({"number": (None, -1)}, [-2, -1]),
            ({"number": (6, None)}, [6, 7]),
            ({"number": (None, None)}, range(-2, 8)),
            ({"session": ("day03", "day05")}, [3, 4, 5]),
            ({"session": ("day06", None)}, [6, 7]),
            ({"dataset": (None, "set_1")}, [-2, 1, 4, 7]),
            ({"dataset": (None, None)}, [-2, -1, 1, 2, 4, 5, 7]),
            ({"order": "newest", "limit": 3}, [7, 6, 5]),
            ({"order": "oldest", "limit": 3}, [-2, -1, 0]),
            ({"name": "s1", "order": "newest", "limit": 2}, [7, 5]),
            ({"limit": 0}, []),
            ({"limit": 100}, range(-2, 8)),
        ],
    )
    def test_terms(
        self, store: DataStore, other: DataStore, numbers: list[str], terms: dict[str, Any], found: list[int]
    ) -> None:
        for place in (store, other):
            tag, keys = place.search_existing_scans(**terms)
            assert [numbers.index(key) - 2 for key in keys] == list(found)
            assert tag == store.get_last_scan()[0]

    def test_texts_are_taken_literally(self, store: DataStore) -> None:
        for number, name in enumerate(ODD_NAMES):
            self.make(store, name, number, session=f"{name}, day 1")
        for number, name in enumerate(ODD_NAMES):
            for term in (f"{name}, day 1", f"{name}, day*", (f"{name}, day", f"{name}, day 2")):
                keys = store.search_existing_scans(session=term)[1]
                assert [store.load_scan(key).number for key in keys] == [number]
            assert store.search_existing_scans(session=f"{name}, day")[1] == []
            assert store.load_scan(store.search_existing_scans(number=number)[1][0]).name == name
        begin_alike = [store.load_scan(key).name for key in store.search_existing_scans(name="muon*")[1]]
        assert begin_alike == ["muon", "muon_2", "muon%2"]

    def test_by_the_time_of_making(self, store: DataStore) -> None:
        scans = [self.make(store, number=n) for n in range(3)]
        second = scans[1].created_ns / 1e9
        times = [scan.created_ns for scan in scans]

        def found(*created: Any) -> list[str]:
            return store.search_existing_scans(created=created)[1]

        keys = [scan.key for scan in scans]
        assert found(None, None) == keys
        hour = timedelta(hours=1)
        now = datetime.now(timezone(-7 * hour))
        assert found(now - hour, now + hour) == found(second - 3600, None) == keys
        assert found(now + hour, None) == found(None, second - 3600) == found(second + 10, second - 10) == []
        assert found(-1e300, 1e300) == keys
        while time.time_ns() < times[-1] + 2_000_000:  # seconds as a float are some 0.2 µs apart
            pass
        middle = time.time()
        late = self.make(store, number=3)
        assert found(middle, None) == [late.key]
        assert found(None, middle) == keys

    @pytest.mark.parametrize(
        "wrong",
        [
            {"weather": "rain"},
            {"name": 3},
            {"number": "3"},
            {"number": "3*"},
            {"name": None},
            {"number": (1, 2, 3)},
            {"name": ("a", 2)},
            {"number": True},
            {"order": "best"},
            {"limit": -1},
            {"created": ("yesterday", None)},
            {"created": (1.0,)},
            {"created": (float("nan"), None)},
        ],
    )
    def test_what_cannot_be_searched_for(self, store: DataStore, wrong: dict[str, Any]) -> None:
        with pytest.raises(LayoutError):
            store.search_existing_scans(**wrong)

    def test_an_unknown_field_lists_those_that_there_are(self, store: DataStore) -> None:
        with pytest.raises(LayoutError, match=r"weather.*name.*number.*data_policy.*session.*path"):
            store.search_existing_scans(weather="rain")

    def test_fields_of_your_own(self, store: DataStore) -> None:
        early = self.make(store)
        with self.again(store, ["operator", "kelvin"]) as extended, self.again(store) as later:
            scans = [
                self.make(extended, number=number, operator=operator, kelvin=kelvin)
                for number, (operator, kelvin) in enumerate([("Ada", 4.2), ("Adam", 300), ("7", None), (7, "7")])
            ]
            keys = [scan.key for scan in scans]
            for place in (extended, later):
                assert (place.load_scan(keys[0]).operator, place.load_scan(keys[0]).kelvin) == ("Ada", 4.2)
                for terms, found in (
                    ({"operator": "Ad*"}, [0, 1]),
                    ({"operator": "*"}, [0, 1, 2]),
                    ({"operator": 7}, [3]),
                    ({"operator": "7"}, [2]),
                    ({"kelvin": (4.2, 300)}, [0, 1]),
                    ({"kelvin": (4.3, None)}, [1]),
                    ({"kelvin": ("", None)}, [3]),
                    ({"kelvin": 300.0}, [1]),
                ):
                    assert place.search_existing_scans(**terms)[1] == [keys[n] for n in found]
                assert place.search_existing_scans(number=1)[1] == [early.key, keys[1]]
            with pytest.raises(LayoutError):
                self.again(store, ["no name"])

    # ----------------------------------------------------------------------------------- what comes

    def test_time_tags_follow_each_other(self, store: DataStore, other: DataStore) -> None:
        begin = time.time_ns() // 1_000_000
        keys = [self.make(place, number=n).key for n, place in enumerate((store, other, store, store, other))]
        seen, tag = [], "0-0"
        for _ in keys:
            tag, key = other.get_next_scan(tag, block=False)
            seen.append((tag, key))
        assert [key for _tag, key in seen] == keys
        assert all(re.fullmatch(r"\d+-\d+", tag) for tag, _key in seen)
        places = [int(tag.split("-")[1]) for tag, _key in seen]
        assert places == sorted(set(places))
        assert all(begin <= int(tag.split("-")[0]) <= time.time_ns() // 1_000_000 for tag, _key in seen)
        assert store.get_next_scan(0) == store.get_next_scan("0-0") == seen[0]
        assert store.get_last_scan() == seen[-1]
        with pytest.raises(NoScanAvailable):
            store.get_next_scan(tag, block=False)

    def test_from_now_on(self, store: DataStore) -> None:
        self.make(store)
        with pytest.raises(NoScanAvailable):
            store.get_next_scan(block=False)
        with pytest.raises(NoScanAvailable):
            store.get_next_scan(timeout=0.02)

    @pytest.mark.parametrize("since", [None, 0])
    @pytest.mark.parametrize("timeout", [0, None, 20])
    def test_who_waits_for_a_scan_is_woken(
        self, store: DataStore, other: DataStore, since: int | None, timeout: float | None
    ) -> None:
        if since is None:
            self.make(store, number=0)
        made = []
        found = while_it_waits(
            lambda: other.get_next_scan(since, timeout=timeout), lambda: made.append(self.make(store, number=1).key)
        )
        assert found == store.get_last_scan() == (found[0], made[0])

    def test_what_is_no_time_tag_is_refused(self, store: DataStore) -> None:
        self.make(store)
        for wrong in ("yesterday", "1", 5, "1-2-3", "-1-1", "1-" + "9" * 30, "\u0663-\u0661"):
            with pytest.raises(DataError):
                store.get_next_scan(wrong, block=False)

    def test_deleted_scans_are_passed_over(self, store: DataStore, other: DataStore) -> None:
        scans = [self.make(store, number=n) for n in range(5)]
        tags = [store.get_next_scan(0)[0]]
        while len(tags) < 5:
            tags.append(store.get_next_scan(tags[-1], block=False)[0])
        for number in (0, 2, 4):
            other.delete_scan(scans[number].key, force=True)
        assert store.get_next_scan(0, block=False) == (tags[1], scans[1].key)
        assert store.get_next_scan(tags[1], block=False) == (tags[3], scans[3].key)
        assert store.get_next_scan(tags[2], block=False) == (tags[3], scans[3].key)
        assert store.get_last_scan() == other.get_last_scan() == (tags[3], scans[3].key)
        with pytest.raises(NoScanAvailable):
            store.get_next_scan(tags[3], block=False)
        with pytest.raises(NoScanAvailable):
            store.get_next_scan(tags[3], timeout=0.02)
        found = while_it_waits(lambda: other.get_next_scan(tags[3]), lambda: self.make(store, number=5))
        assert other.load_scan(found[1]).number == 5
        for number in (1, 3):
            store.delete_scan(scans[number].key, force=True)
        store.delete_scan(found[1], force=True)
        with pytest.raises(NoScanAvailable):
            store.get_last_scan()
        tag, keys = store.search_existing_scans()
        assert (tag_order(tag)[1], keys) == (tag_order(found[0])[1], [])  # the time was that of a scan that is gone
        with pytest.raises(NoScanAvailable):
            store.get_next_scan(tag, block=False)

    def test_all_who_wait_are_woken(self, store: DataStore, other: DataStore) -> None:
        found: list[tuple[str, str]] = []
        ready = threading.Barrier(5)

        def wait(place: DataStore) -> None:
            ready.wait()
            found.append(place.get_next_scan(0, timeout=20))

        def make() -> None:
            ready.wait()
            self.make(store)

        run_threads(*(lambda place=place: wait(place) for place in (store, store, other, other)), make)
        assert found == [store.get_last_scan()] * 4

    def test_a_search_and_what_follows_it_have_no_hole(self, store: DataStore, other: DataStore) -> None:
        made: list[str] = []
        rounds: list[list[str]] = []
        total = 60

        def make(place: DataStore) -> None:
            made.extend(self.make(place, number=number).key for number in range(total // 2))

        def follow() -> None:
            for _ in range(5):
                tag, keys = other.search_existing_scans()
                while len(keys) < total:
                    tag, key = other.get_next_scan(tag, timeout=20)
                    keys.append(key)
                rounds.append(keys)

        run_threads(lambda: make(store), lambda: make(other), follow)
        assert all(keys == rounds[0] for keys in rounds)
        assert sorted(rounds[0]) == sorted(made)
        assert store.search_existing_scans(order="newest")[1] == rounds[0][::-1]
