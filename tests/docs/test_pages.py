"""The pages of the documentation tell the truth: their Python runs, from top to bottom."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
PAGES = sorted(page for folder in ("coming_from", "how_to") for page in (DOCS / folder).glob("*.md"))
CODE = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)


def program(page):
    """All Python of a page, in the lines where it stands there."""
    lines = [""] * page.read_text(encoding="utf-8").count("\n")
    text = page.read_text(encoding="utf-8")
    for found in CODE.finditer(text):
        first = text[: found.start(1)].count("\n")
        code = found[1].splitlines()
        lines[first : first + len(code)] = code
    return "\n".join(lines)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: f"{page.parent.name}/{page.stem}")
def test_the_python_of_a_page_runs(page, tmp_path):
    script = tmp_path / page.with_suffix(".py").name
    script.write_text(f"{program(page)}\n", encoding="utf-8")
    command = [sys.executable, "-W", "error", str(script)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=100)
    assert done.returncode == 0, done.stderr
