"""Try labdaq with the lowest versions that it says it runs with.

    python tests/lowest.py PLACE            makes an environment in PLACE, and runs tests there
    python tests/lowest.py PLACE tests/ring others than the usual ones; arguments go to pytest

Lower bounds are those of pyproject.toml; what labdaq does not name itself is the newest that goes with them.
"""

import re
import subprocess
import sys
import tomllib
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
BOUND = re.compile(r"([\w.-]+)(?:\[[\w,]+\])?>=([\w.]+)")
TOOLS = {"bandit", "hatchling", "import-linter", "mypy", "ruff"}
"""They look at the code, and take no part in running it."""
LEFT_OUT = {"docs"}
TESTS = ["tests/ring", "tests/files", "tests/store", "tests/kernels", "tests/pipeline", "tests/stream", "tests/widgets"]


def bounds(extra: str = "test") -> dict[str, str]:
    """The lowest version of each package that an extra brings, its own dependencies included."""
    found: dict[str, str] = {}
    waiting, seen = [extra], set()
    lines = list(PROJECT["dependencies"])
    while waiting:
        name = waiting.pop()
        if name in seen | LEFT_OUT:
            continue
        seen.add(name)
        for line in PROJECT["optional-dependencies"][name]:
            if line.startswith("labdaq["):
                waiting += line[len("labdaq[") : -1].split(",")
            else:
                lines.append(line)
    for line in lines:
        match = BOUND.fullmatch(line)
        if match and match[1] not in TOOLS:
            found[match[1]] = match[2]
    return found


def main(arguments: list[str]) -> int:
    """Make the environment, unless it is there and the bounds are as they were; run the tests."""
    place = Path(arguments[0]).absolute()
    python = place / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    lowest = place / "lowest.txt"
    text = "".join(f"{name}=={version}\n" for name, version in sorted(bounds().items()))
    if not lowest.exists() or lowest.read_text(encoding="utf-8") != text:
        venv.create(place, with_pip=True, clear=True)
        wanted = place / "wanted.txt"
        wanted.write_text(text, encoding="utf-8")
        install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", wanted]
        subprocess.run([*install, "--editable", ROOT], check=True)
        wanted.rename(lowest)
    tests = arguments[1:] or ["-m", "not slow and not benchmark and not long", *TESTS]
    # Old packages warn of what has changed since; errors are what is looked for here.
    command = [python, "-m", "pytest", "-q", "-n", "auto", "--dist", "loadfile", "-W", "default", *tests]
    return subprocess.run(command, cwd=ROOT).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
