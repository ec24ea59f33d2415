"""The page on devices tells the truth."""

import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from labdaq import devices, roles
from labdaq.devices import DeviceSource
from tests.devices.slots import acquired

TEXT = (Path(__file__).parents[2] / "docs/devices.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)


class Tube:
    voltage = 0

    def high_voltage(self, voltage):
        self.voltage = voltage

    def clear(self):
        assert self.voltage

    count, close = staticmethod(lambda: 42), staticmethod(lambda: None)


def test_the_examples_run():
    tube = Tube()
    names = {**vars(devices), **vars(roles), "np": np, "open_tube": lambda number: tube}
    for code in EXAMPLES[1:]:
        exec(code, names)
    assert names["scope"].range_A.value == 1.0
    names["source"], names["event"] = names["Geiger"](7), SimpleNamespace(data=np.zeros((), np.int64))
    names["source"].gate_s = 0.01
    exec(EXAMPLES[0], names)
    assert names["event"].data == 42
    assert tube.voltage == 0
    with names["source"] as geiger:
        assert acquired(geiger).data == 42


def test_all_sources_are_in_the_table():
    sources = {name for name, one in vars(devices).items() if isinstance(one, type) and issubclass(one, DeviceSource)}
    for name in sources - {"DeviceSource"}:
        assert f"`{name}`" in TEXT
