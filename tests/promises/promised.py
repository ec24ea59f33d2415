"""What labdaq promises, and the page that says how each promise was kept when it was last put to the test.

python -m tests.promises.promised       makes the page anew, after a change of the tests
"""

import ast
import json
import os
import platform
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

__all__ = ["PAGE", "PROMISES", "RESULTS", "Promise", "marked", "page", "read", "write"]

ROOT = Path(__file__).resolve().parents[2]
PAGE, RESULTS = ROOT / "docs" / "promises.md", ROOT / "docs" / "promises.json"


class Promise(NamedTuple):
    """A sentence that users may rely on."""

    title: str
    requirement: str


PROMISES = {
    "P1": Promise(
        "The ledger closes",
        "Of every ring, worker and capture: what came is what went on, plus what was refused, lost or given up, each "
        "counted under its reason. Also when workers are killed, packets are lost and disks fill.",
    ),
    "P2": Promise(
        "Never wrong, only missing",
        "What a reader gets is what a writer wrote. What cannot be given is missing, and the reader is told how much.",
    ),
    "P3": Promise(
        "Stop stops",
        "In every state, stop ends the intake and abort ends everything within a second; and nothing is left: no "
        "thread, no process, no file, no memory.",
    ),
    "P4": Promise(
        "What is acknowledged is durable",
        "A point that the store has acknowledged is there after kill -9 of the writer, on a full disk, and after an "
        "error of the disk.",
    ),
    "P5": Promise(
        "Looking cannot hurt",
        "Plots and panels observe. A frozen page, a hidden tab, many views or a reload cost no event and make no "
        "writer wait; the memory that they take is bounded.",
    ),
    "P6": Promise(
        "Garbage in, typed error out",
        "Whatever bytes come in a packet, message, header or file: they are counted and refused with an error of "
        "labdaq, in bounded memory.",
    ),
    "P7": Promise(
        "One instrument, one user",
        "A second user of a device or of the only writer's place gets an error with the name of the first, never "
        "mixed data.",
    ),
    "P8": Promise(
        "Local, and data are not programs",
        "Nothing listens beyond this machine unless asked to, and then only with keys; and no data that are read can "
        "make labdaq execute code.",
    ),
    "P9": Promise(
        "Same seed, same bytes",
        "A simulation with the same seed gives the same bytes, in threads, in processes and compiled, today and with "
        "the next version.",
    ),
}


def machine() -> str:
    """For the page: what the figures were seen on."""
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{platform.system()} {platform.machine()}, {processors} processors, Python {platform.python_version()}"


def marked() -> dict[str, tuple[str, str]]:
    """Every test that puts a promise to the test: which, and what it verifies, by its name without parameters."""
    files = sorted((ROOT / "tests").rglob("test_*.py"))
    return {name: mark for path in files for name, mark in _marks(path)}


def _marks(path: Path) -> Iterator[tuple[str, tuple[str, str]]]:
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if not isinstance(node, ast.FunctionDef):
            continue
        for decorator in node.decorator_list:
            if isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == "pytest.mark.promise":
                number, verifies = (ast.literal_eval(argument) for argument in decorator.args)
                yield f"{path.relative_to(ROOT).as_posix()}::{node.name}", (number, verifies)


def read() -> dict[str, dict[str, str]]:
    """What the last full run saw, by the name of the test."""
    return json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}


def write(results: dict[str, dict[str, str]]) -> None:
    """Keep what a full run saw of the tests that there are, and make the page of it."""
    tests = marked()
    kept = {name: one for name, one in sorted(results.items()) if name.partition("[")[0] in tests}
    RESULTS.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    PAGE.write_text(page(kept, tests), encoding="utf-8")


def page(results: dict[str, dict[str, str]], tests: dict[str, tuple[str, str]]) -> str:
    """The page, as MyST Markdown.

    Parameters
    ----------
    results
        By the name of the test: its ``promise``, ``verifies``, ``saw``, ``result``, ``date`` and ``machine``.
    tests
        As :func:`marked` gives them.
    """
    lines = [
        "# Promises",
        "",
        "What you may rely on. Each promise has tests, which run in a short version with every change, and in a long",
        "one by `make promises` (about an hour; `make promises TIMES=10` takes a night). This page is made of the",
        "tests and of what the long run saw: it says what, when, and on what machine.",
    ]
    for number, promise in PROMISES.items():
        lines += ["", f"## {number}: {promise.title}", "", promise.requirement, ""]
        lines += ["| verified by | seen | when, and on what |", "|---|---|---|"]
        for test, (of, verifies) in sorted(tests.items()):
            if of == number:
                lines += _rows(test, verifies, {n: r for n, r in results.items() if n.partition("[")[0] == test})
    return "\n".join(lines) + "\n"


def _rows(test: str, verifies: str, results: dict[str, dict[str, str]]) -> Iterator[str]:
    """A line for each set of parameters with which it ran for long, or one that says that it did not."""
    if not results:
        yield f"| {verifies} (`{test}`) | no long run yet | |"
    for name, one in sorted(results.items()):
        seen = one["saw"] if one["result"] == "passed" else f"**{one['result']}** {one['saw']}".rstrip()
        yield f"| {verifies} (`{name}`) | {seen} | {one['date']}, {one['machine']} |"


if __name__ == "__main__":
    sys.exit(write(read()))
