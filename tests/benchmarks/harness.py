"""How benchmarks are measured and reported: medians of repeats, and one JSON line per figure.

The lines are printed, and appended to the file that LABDAQ_BENCHMARKS names: ``make bench`` makes a page of them.

Machines are shared, so costs are counted in CPU time of the thread that has them, and what is compared is run
in turns: the median over the turns of the ratio within one turn is what a passing neighbour spoils least.
Nothing here fails for being slow: each line states its target, and whether it was met.
"""

import gc
import json
import multiprocessing
import os
import platform
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

__all__ = [
    "SPAWN",
    "cpu_seconds",
    "cpu_us_per_call",
    "in_turns",
    "line",
    "median",
    "median_ratio",
    "report",
    "undisturbed",
]

SPAWN = multiprocessing.get_context("spawn")

Figures = dict[str, Any]
median = statistics.median


def line(name: str, **figures: Any) -> Figures:
    """Print one benchmark as one line of JSON; the same as a dict. Floats keep four digits."""
    result = {"benchmark": name, **figures, "machine": machine()}
    text = json.dumps(_rounded(result))
    print(text, flush=True)
    if "LABDAQ_BENCHMARKS" in os.environ:
        with Path(os.environ["LABDAQ_BENCHMARKS"]).open("a", encoding="utf-8") as file:
            file.write(f"{text}\n")
    return result


def report(name: str, value: float, unit: str, *, target: float, at_least: bool = False, **figures: Any) -> Figures:
    """Print a figure with the target that it is held against; lower is better unless ``at_least``."""
    met = value >= target if at_least else value <= target
    bound = "at least" if at_least else "at most"
    return line(name, value=value, unit=unit, target=target, target_is=bound, met=bool(met), **figures)


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(one) for one in value]
    return float(f"{value:.4g}") if isinstance(value, float) else value


def machine() -> Figures:
    """What the figures depend on, besides the code."""
    affinity = getattr(os, "sched_getaffinity", None)
    return {
        "system": platform.system(),
        "processor": _processor(),
        "cpus": len(affinity(0)) if affinity else os.cpu_count(),
        "load": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "python": platform.python_version(),
        "numpy": np.__version__,
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    found = [text.split(":", 1)[1].strip() for text in lines if text.startswith("model name")]
    return found[0] if found else platform.processor() or platform.machine()


@contextmanager
def undisturbed() -> Iterator[None]:
    """No garbage collection while something is timed."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def cpu_us_per_call(loop: Callable[[int], object], count: int, repeats: int = 9) -> Figures:
    """CPU time of this thread for one round of ``loop(count)``, which makes ``count`` rounds: median and least.

    The interpreter's own loop is included: about 0.02 us.
    """
    loop(min(count, 1000))
    times = []
    with undisturbed():
        for _ in range(repeats):
            begin = time.thread_time_ns()
            loop(count)
            times.append((time.thread_time_ns() - begin) / count / 1e3)
    return {"median": median(times), "least": min(times), "repeats": repeats}


def cpu_seconds() -> float:
    """User and system time of this process, all threads."""
    return time.process_time()


def in_turns(repeats: int, **runs: Callable[[], Any]) -> dict[str, list[Any]]:
    """Run each in turn, ``repeats`` times, after one turn that does not count; the results by name."""
    results: dict[str, list[Any]] = {name: [] for name in runs}
    for turn in range(repeats + 1):
        for name, run in runs.items():
            with undisturbed():
                value = run()
            if turn:
                results[name].append(value)
    return results


def median_ratio(upper: list[float], lower: list[float]) -> float:
    """The median of the ratios within each turn."""
    return median(a / b for a, b in zip(upper, lower, strict=True))
