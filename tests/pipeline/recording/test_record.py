"""What is kept of a run: the scan, and the files beside it."""

import threading
from functools import partial
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from labdaq import DataStore
from labdaq.errors import LabdaqError, LayoutError, StateError
from labdaq.files import read_csv
from labdaq.pipeline import Pipeline, RunState
from labdaq.pipeline.recording.describing import description_of
from labdaq.pipeline.recording.diagram import data_flow_svg
from labdaq.roles import Parameter
from tests.pipeline.making import Numbers, chain

SVG = "{http://www.w3.org/2000/svg}"


class Find:
    """A filter with a setting."""

    level = Parameter(2.0, unit="V", low=0)
    seed = 17

    def __call__(self, event):
        return event.data[0] >= self.level


def test_a_run_is_a_scan_with_all_that_is_needed_to_repeat_and_to_judge_it(tmp_path):
    with Pipeline("muons", store=tmp_path) as daq:
        chain(daq, Find())
        results = [daq.run(events=20, comment="with lead"), daq.run(events=5)]
    assert [result.number for result in results] == [1, 2]
    with DataStore(tmp_path) as store:
        scan = store.load_scan(results[0].key)
        assert scan.identity["name"] == "muons"
        assert scan.identity["number"] == 1
        assert scan.state.name == "CLOSED"
        info = scan.info
        assert info["comment"] == "with lead"
        find = info["configuration"]["workers"]["find"]
        assert find["parameters"] == {"level": {"value": 2.0, "unit": "V"}}
        assert find["seed"] == 17
        assert "return event.data[0] >= self.level" in find["code"]
        assert info["configuration"]["rings"]["raw"]["capacity"] == 64
        result = info["result"]
        assert (result["state"], result["events"], result["reason"]) == ("ENDED", 20, "20 events taken")
        assert result["ledger"]["find"]["rejected"] == 2
        assert {"labdaq", "python", "numpy"} <= set(info["versions"])
    folder = results[0].folder
    assert "running -> draining: 20 events taken" in (folder / "log.txt").read_text()
    table = read_csv(folder / "statistics.csv")
    rows = table.records
    assert rows["events"][-1] == 20
    assert {"time", "deadtime", "raw.rate_hz", "raw.fill", "find.cpu"} <= set(rows.dtype.names)
    assert len(ET.parse(folder / "data_flow.svg").findall(f".//{SVG}rect")) == 5


def test_a_run_that_cannot_start_leaves_nothing_behind_and_the_next_one_can(tmp_path):
    lock = threading.Lock()
    with Pipeline("broken", store=tmp_path) as daq:
        chain(daq, lambda event: lock, run_in="processes")
        with pytest.raises(LayoutError, match="cannot go to another process"):
            daq.run(events=1)
        assert daq.state == RunState.IDLE
    (folder,) = tmp_path.glob("broken_*")
    assert "could not start" in (folder / "log.txt").read_text()
    with DataStore(tmp_path) as store:
        scan = store.load_scan(store.get_last_scan()[1])
        assert scan.info["result"]["state"] == "FAILED"


def test_a_place_where_nothing_can_be_kept_is_told(tmp_path):
    (tmp_path / "file").touch()
    with Pipeline("nowhere", store=tmp_path / "file" / "runs") as daq:
        chain(daq, Find())
        with pytest.raises((LabdaqError, OSError)):
            daq.run(events=1)


def test_every_box_of_the_data_flow_is_right_of_what_feeds_it():
    with Pipeline("flow", store=None) as daq:
        a, b, c = (daq.ring(name, "f8", (4,)) for name in ("a", "b <&>", "c"))
        daq.source(Numbers(), a, name="first")
        daq.filter(Find(), a, b, name="one", workers=3)
        daq.filter(Find(), b, c, name="two")
        daq.sink(print, c, name="last")
        daq.drain(a)
        daq.task(print, observes=c, name="watch")
        picture = ET.fromstring(data_flow_svg(list(daq.nodes.values())))
    places = {text.text: float(text.get("x")) for text in picture.iter(f"{SVG}text")}
    order = ["first", "a", "one", "b <&>", "two", "c", "last"]
    assert sorted(order, key=places.get) == order
    assert places["watch"] > places["c"]
    assert "3 x filter, threads" in places
    assert len([path for path in picture.iter(f"{SVG}path") if path.get("stroke-dasharray")]) == 1


def test_the_code_of_what_a_user_wrote_is_kept_wrapped_or_not():
    def find(event, level):
        return event.data.max() > level

    with Pipeline("code", store=None) as daq:
        raw, found = (
            daq.ring("raw", "f8", (4,), header={"gain": np.float32(2), "names": ("a", "b")}),
            daq.ring("f", "f8"),
        )
        daq.filter(partial(find, level=3), raw, found, name="find")
        daq.sink([].append, found, name="look")
        told = description_of(list(daq.nodes.values()))
    assert "return event.data.max() > level" in told["workers"]["find"]["code"]
    assert "code" not in told["workers"]["look"]
    assert told["rings"]["raw"]["header"] == {"gain": 2.0, "names": ["a", "b"]}


@pytest.mark.parametrize("is_kept", [True, False])
@pytest.mark.parametrize("events", [5, 2])
def test_a_generator_is_good_for_one_run_and_the_next_one_says_so(tmp_path, is_kept, events):
    def numbers():
        yield from map(float, range(5))

    with Pipeline("once", store=tmp_path if is_kept else None) as daq:
        raw = daq.ring("raw", "f8", capacity=16)
        daq.source(numbers(), raw)
        daq.drain(raw)
        assert daq.run(events=events).events == events
        with pytest.raises(StateError, match=r"source 'numbers'.*give the function that makes it"):
            daq.run()
        assert daq.state == RunState.ENDED
    assert len(list(tmp_path.glob("once_*"))) == (1 if is_kept else 0)


def test_a_function_that_makes_a_generator_gives_its_events_in_each_run():
    def numbers():
        yield from map(float, range(5))

    with Pipeline("again", store=None) as daq:
        raw = daq.ring("raw", "f8", capacity=16)
        daq.source(numbers, raw)
        daq.drain(raw)
        assert [daq.run().events for _ in range(2)] == [5, 5]
