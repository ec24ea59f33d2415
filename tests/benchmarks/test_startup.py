"""What one waits for: `import labdaq`, and the first ring, compiled before or not.

Each figure is from fresh interpreters: wall time, and CPU time beside it.
"""

import json
import os
import subprocess
import sys

import pytest

from tests.benchmarks.harness import line, median, report

pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(600)]

CLOCK = "import json, time; c, t = time.process_time(), time.perf_counter()\n"
PRINT = "\nprint(json.dumps([time.perf_counter() - t, time.process_time() - c]))"
IMPORT = f"{CLOCK}import labdaq{PRINT}"
RING = f"""import labdaq
{CLOCK}
with labdaq.Ring("first", dtype="i4", capacity=16) as ring, ring.writer() as writer, ring.reader() as reader:
    writer.put(1)
    assert reader.read().data == 1{PRINT}
"""


def seconds(code: str, **environment: str) -> tuple[float, float]:
    """Wall and CPU time that a program in a new interpreter prints."""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={**os.environ, **environment}
    )
    wall, cpu = json.loads(done.stdout.splitlines()[-1])
    return wall, cpu


def summary(found: list[tuple[float, float]]) -> dict[str, float]:
    return {
        "wall_s": median(wall for wall, _ in found),
        "cpu_s": median(cpu for _, cpu in found),
        "repeats": len(found),
    }


def test_import():
    """`import labdaq` alone."""
    seconds(IMPORT)
    found = summary([seconds(IMPORT) for _ in range(7)])
    report("import", found["wall_s"], "s", target=0.3, **found)


def test_first_ring(tmp_path):
    """From `labdaq.Ring(…)` to the first record read: numba is imported, machine code loaded or compiled."""
    cold = [seconds(RING, LABDAQ_CACHE=str(tmp_path / str(i))) for i in range(3)]
    warm = [seconds(RING, LABDAQ_CACHE=str(tmp_path / "0")) for _ in range(5)]
    line("first_ring_cold", value=median(wall for wall, _ in cold), unit="s", **summary(cold))
    line("first_ring_warm", value=median(wall for wall, _ in warm), unit="s", **summary(warm))
