"""Run every check of the project, in the order in which they are quick.

    python tests/check.py            all of them; further arguments go to pytest
    python tests/check.py --lint     without the tests

The same on every system, and nothing else is run in CI.
"""

import signal
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SCRIPTS = Path(sysconfig.get_path("scripts"))

CHECKS = {
    "rules": [sys.executable, "-m", "ruff", "check"],
    "format": [sys.executable, "-m", "ruff", "format", "--check"],
    "types": [sys.executable, "-m", "mypy"],
    "layers": [str(SCRIPTS / "lint-imports")],
    "audit": [sys.executable, str(ROOT / "tests" / "audit.py"), "--sources"],
}
# Two at once on two processors; a file stays with one of them, for what its tests share.
TESTS = [sys.executable, "-m", "pytest", "-n", "auto", "--dist", "loadfile"]


def passes(name: str, command: list[str]) -> bool:
    """Run a check, print one line about it, and its output when it fails."""
    start = time.monotonic()
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    result = "ok" if done.returncode == 0 else "FAILED"
    print(f"{name:8} {result:8} {time.monotonic() - start:6.1f} s", flush=True)
    if done.returncode:
        print(done.stdout, flush=True)
    return done.returncode == 0


def main(arguments: list[str]) -> int:
    # Who starts this in the background has it ignore Ctrl-C, and so would all processes of the tests that interrupt.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    results = [passes(name, command) for name, command in CHECKS.items()]
    if "--lint" not in arguments:
        # The tests come last and write for themselves, so that pytest's closing line closes everything.
        results.append(subprocess.run([*TESTS, *arguments], cwd=ROOT).returncode == 0)
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
