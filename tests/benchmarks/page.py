"""docs/performance.md, and its picture, from the lines that the benchmarks left.

python -m tests.benchmarks.page lines.jsonl
"""

import json
import sys
from pathlib import Path
from typing import Any

__all__ = ["page", "picture", "read"]

DOCS = Path(__file__).resolve().parents[2] / "docs"
HEAD = """# Performance

Figures are ratios wherever there is a peer or a limit to measure beside: both run in the same minute, in turns, and the
median of the ratios counts. Costs are CPU time. `make bench` measures on your machine, and makes this page; peers are
found through `LABDAQ_BENCH_PEERS`, and what they would be compared with is left out where they are not.

![Each figure over what is wanted of it](images/performance.svg)

A bar to the right of the line is better than wanted. A load above 1 means that others were at work on the machine: then
figures scatter, mostly to the worse.

| figure | measured | wanted | | load |
|---|---|---|---|---|
"""


def read(path: Path) -> list[dict[str, Any]]:
    """The last line of each benchmark, by name."""
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return sorted({line["benchmark"]: line for line in lines}.values(), key=lambda line: line["benchmark"])


def page(lines: list[dict[str, Any]]) -> str:
    """The page, as MyST Markdown."""
    rows = [_row(line) for line in lines if line.get("value") is not None]
    left_out = [f"- {line['benchmark']}: {line['skipped']}" for line in lines if line.get("skipped")]
    machines = sorted({_machine(line["machine"]) for line in lines})
    parts = [HEAD + "\n".join(rows), "Measured on " + "; ".join(machines) + "."]
    if left_out:
        parts.append("Not measured:\n\n" + "\n".join(left_out))
    return "\n\n".join(parts) + "\n"


def _row(line: dict[str, Any]) -> str:
    bound, verdict = "", ""
    if "target" in line:
        bound = f"{line['target_is']} {line['target']:g}"
        verdict = "met" if line["met"] else "**not met**"
    return f"| {_title(line)} | {line['value']:.4g} {line['unit']} | {bound} | {verdict} | {line['machine']['load']} |"


def _title(line: dict[str, Any]) -> str:
    return str(line["benchmark"]).replace("_", " ")


def _machine(machine: dict[str, Any]) -> str:
    return f"{machine['cpus']} processors, {machine['processor']}, {machine['system']}, Python {machine['python']}"


def advantage(line: dict[str, Any]) -> float:
    """How many times better than wanted; below 1 it is worse."""
    value, target = line["value"], line["target"]
    if not value or not target:
        return 1.0
    return float(value / target if line["target_is"] == "at least" else target / value)


def picture(lines: list[dict[str, Any]], path: Path) -> None:
    """A bar for each figure that has a target."""
    import matplotlib as mpl

    mpl.use("Agg")
    mpl.rcParams["svg.hashsalt"] = "labdaq"
    import matplotlib.pyplot as plt

    shown = [line for line in lines if line.get("value") is not None and "target" in line][::-1]
    figure, axes = plt.subplots(figsize=(8, 0.6 + 0.22 * len(shown)), layout="constrained")
    colours = ["#0072b2" if line["met"] else "#d55e00" for line in shown]
    axes.barh([_title(line) for line in shown], [advantage(line) - 1 for line in shown], left=1, color=colours)
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set_xscale("log")
    axes.set_xlabel("times better than wanted")
    axes.tick_params(axis="y", labelsize=7)
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


def main(arguments: list[str]) -> int:
    """Make the page of the file that is named."""
    lines = read(Path(arguments[0]))
    (DOCS / "performance.md").write_text(page(lines), encoding="utf-8")
    picture(lines, DOCS / "images" / "performance.svg")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
