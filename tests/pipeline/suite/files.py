"""Suites as files, for the tests."""

from pathlib import Path

SUITE = """\
name: heights
store: null
modules: modules
rings:
  raw: {dtype: float64, shape: [8], capacity: 16}
  high: {dtype: {height: float64, n: int32}, header: {units: {height: mV}}}
workers:
  pulses:
    source: counting.pulses
    settings: {events: 10}
    writes: raw
  find:
    filter: counting.find
    settings:
      n: 3
    reads: raw
    writes: high
  table: {sink: heights.csv, reads: high}
limits: {seconds: 20}
parameters: {find.level: 4}
"""

COUNTING = """\
import numpy as np
from labdaq.roles import Parameter

RECORD = np.dtype([("height", "f8"), ("n", "i4")])
level = Parameter(2.0, "mV", low=0, high=100)

def pulses(events=5):
    for height in range(events):
        yield np.full(8, float(height))

def find(event, n=0):
    if event.data.max() < level:
        return None
    return np.array((event.data.max(), n), RECORD)

def make_find(n):
    return lambda event: np.array((event.data.max(), n), RECORD)

class Pulses:
    dtype, shape, header = "f4", (8,), {"unit": "mV"}
    def __init__(self, events=5):
        self.events = iter(range(events))
    def acquire(self, event):
        from labdaq.errors import EndOfDataError
        number = next(self.events, None)
        if number is None:
            raise EndOfDataError("no more")
        event.data[:] = number

def copy(context):
    for event in context.readers[0]:
        context.writers[0].put(np.array((event.data.max(), context.settings["n"]), RECORD))
"""


def write(folder: Path, text: str = SUITE, *, name: str = "suite.yaml", **modules: str) -> Path:
    """A suite in a folder, with its modules."""
    (folder / "modules").mkdir(parents=True, exist_ok=True)
    for module, code in {"counting": COUNTING, **modules}.items():
        (folder / "modules" / f"{module}.py").write_text(code, encoding="utf-8")
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def package(folder: Path, group: str, name: str, value: str, code: str) -> None:
    """An installed package with an entry point, for a folder that is on the path."""
    module = value.partition(":")[0]
    (folder / f"{module}.py").write_text(code, encoding="utf-8")
    about = folder / f"{module}-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n", encoding="utf-8")
    (about / "entry_points.txt").write_text(f"[{group}]\n{name} = {value}\n", encoding="utf-8")
