"""What labdaq promises, and the page that says how each promise was kept when it was last put to the test."""

import json
import platform
from pathlib import Path
from typing import NamedTuple

__all__ = ["PAGE", "PROMISES", "RESULTS", "Promise", "page", "read", "write"]

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGE, RESULTS = DOCS / "promises.md", DOCS / "promises.json"


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
    return f"{platform.system()} {platform.machine()}, Python {platform.python_version()}"


def read() -> dict[str, dict[str, str]]:
    """What the last full run saw, by the name of the test."""
    return json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}


def write(results: dict[str, dict[str, str]]) -> None:
    """Keep what a full run saw, and make the page of it."""
    RESULTS.write_text(json.dumps(dict(sorted(results.items())), indent=1) + "\n", encoding="utf-8")
    PAGE.write_text(page(results), encoding="utf-8")


def page(results: dict[str, dict[str, str]]) -> str:
    """The page, as MyST Markdown.

    Parameters
    ----------
    results
        By the name of the test: its ``promise``, ``verifies``, ``saw``, ``result``, ``date`` and ``machine``.
    """
    lines = [
        "# Promises",
        "",
        "What you may rely on. Each promise has tests, which run in a short version with every change, and in a long",
        "one by `make promises`. This page is made by the long run: it says what was seen when, and on what machine.",
    ]
    for number, promise in PROMISES.items():
        lines += ["", f"## {number}: {promise.title}", "", promise.requirement, ""]
        tests = {name: one for name, one in results.items() if one["promise"] == number}
        if not tests:
            lines.append("No long run yet.")
            continue
        lines += ["| verified by | seen | when, and on what |", "|---|---|---|"]
        for name, one in sorted(tests.items()):
            seen = one["saw"] if one["result"] == "passed" else f"**{one['result']}** {one['saw']}"
            lines.append(f"| {one['verifies']} (`{name}`) | {seen} | {one['date']}, {one['machine']} |")
    return "\n".join(lines) + "\n"
