"""The page of figures shows what was measured, met or not, and what was not measured."""

import json

from tests.benchmarks.page import advantage, page, picture, read

MACHINE = {"system": "Linux", "processor": "P", "cpus": 2, "load": 0.3, "python": "3.13"}
FAST = {"benchmark": "a_copy", "value": 3.0, "unit": "of memcpy", "target": 2, "target_is": "at least", "met": True}
SLOW = {"benchmark": "step", "value": 4.0, "unit": "us", "target": 2, "target_is": "at most", "met": False}
ABSENT = {"benchmark": "peer", "value": None, "unit": "x", "target": 2, "met": None, "skipped": "it is not installed"}


def test_the_last_line_of_each_benchmark_is_shown(tmp_path):
    lines = [{**one, "machine": MACHINE} for one in ({**FAST, "value": 1.0}, FAST, SLOW, ABSENT)]
    (tmp_path / "lines").write_text("".join(json.dumps(line) + "\n" for line in lines))
    found = read(tmp_path / "lines")
    assert [line["benchmark"] for line in found] == ["a_copy", "peer", "step"]
    text = page(found)
    assert "| a copy | 3 of memcpy | at least 2 | met | 0.3 |" in text
    assert "| step | 4 us | at most 2 | **not met** | 0.3 |" in text
    assert "- peer: it is not installed" in text
    assert [advantage(line) for line in (found[0], found[2])] == [1.5, 0.5]
    for name in ("one.svg", "two.svg"):
        picture(found, tmp_path / name)
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()
