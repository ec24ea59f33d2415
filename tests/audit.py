"""Look for weaknesses: bandit in labdaq's own sources, and known ones in the packages that are installed.

    python tests/audit.py               both
    python tests/audit.py --sources     the first only: it needs no network

Bandit's rule B102 is ruff's S102, which is one of the checks of each commit. What a line explains to ruff, as in
``# noqa: S102 - made of numbers only``, is explained here; what it does not explain is told.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LEFT_OUT = {
    "B403": "importing pickle does nothing: each call of it is looked at",
    "B404": "importing subprocess does nothing: each call of it is looked at",
    "B405": "importing ElementTree does nothing: each call of it is looked at",
    "B603": "starting processes is our trade; none goes through a shell",
}
ONLY_TESTS = {"B101": "labdaq.testing holds tests, which assert; ruff refuses assert everywhere else"}
EXPLAINED = re.compile(r"# noqa: ([\w, ]+?) - \S")


def findings() -> list[str]:
    """What bandit finds that no line explains; one line each."""
    command = [sys.executable, "-m", "bandit", "-q", "-r", "labdaq", "-f", "json", "-s", ",".join(LEFT_OUT)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    report = json.loads(done.stdout)
    return [f"{one['file']}: {one['reason']}" for one in report["errors"]] + [
        f"{one['filename']}:{one['line_number']}: {one['test_id']} {one['issue_text']}"
        for one in report["results"]
        if not _is_explained(one)
    ]


def _is_explained(one: dict) -> bool:
    if one["test_id"] in ONLY_TESTS and one["filename"].startswith("labdaq/testing/"):
        return True
    lines = (ROOT / one["filename"]).read_text(encoding="utf-8").splitlines()
    explained = [EXPLAINED.search(lines[number - 1]) for number in one["line_range"]]
    rule = one["test_id"].replace("B", "S")
    return any(found and rule in re.split(r"[, ]+", found[1]) for found in explained)


def main(arguments: list[str]) -> int:
    """Print what is found; 1 if it is anything."""
    found = findings()
    print("\n".join(found) or "labdaq: nothing that is not explained")
    if "--sources" in arguments:
        return int(bool(found))
    known = subprocess.run(
        [sys.executable, "-m", "pip_audit", "--local", "--skip-editable", "--progress-spinner", "off"]
    )
    return int(bool(found) or known.returncode != 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
