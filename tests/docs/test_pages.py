"""The pages of the documentation tell the truth: their Python runs, from top to bottom."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
CODE = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)
FOLDERS = ("coming_from", "how_to", "explanations")
PAGES = [DOCS / "file_formats.md", *sorted(page for folder in FOLDERS for page in (DOCS / folder).glob("*.md"))]
PAGES = [page for page in PAGES if CODE.search(page.read_text(encoding="utf-8"))]

# One process for all of them, for what they import; each has a folder and names of its own.
RUN_ALL = """
import json, os, runpy, sys, traceback
said = {}
for script in sys.argv[2:]:
    os.chdir(os.path.dirname(script))
    try:
        runpy.run_path(script, run_name="__main__")
    except BaseException:
        said[script] = traceback.format_exc()
with open(sys.argv[1], "w", encoding="utf-8") as file:
    json.dump(said, file)
"""


def program(page):
    """All Python of a page, in the lines where it stands there."""
    text = page.read_text(encoding="utf-8")
    lines = [""] * text.count("\n")
    for found in CODE.finditer(text):
        first = text[: found.start(1)].count("\n")
        code = found[1].splitlines()
        lines[first : first + len(code)] = code
    return "\n".join(lines)


@pytest.fixture(scope="module")
def errors(tmp_path_factory):
    """What went wrong, by page."""
    scripts = {}
    for page in PAGES:
        scripts[page] = tmp_path_factory.mktemp(page.stem) / page.with_suffix(".py").name
        scripts[page].write_text(f"{program(page)}\n", encoding="utf-8")
    result = tmp_path_factory.mktemp("result") / "errors.json"
    command = [sys.executable, "-W", "error", "-c", RUN_ALL, result, *scripts.values()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=110)
    assert done.returncode == 0, done.stderr
    # Warnings of what is collected when nobody can catch it are only printed.
    assert "Warning" not in done.stderr, done.stderr
    found = json.loads(result.read_text(encoding="utf-8"))
    return {page: found.get(str(script)) for page, script in scripts.items()}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: f"{page.parent.name}/{page.stem}")
def test_the_python_of_a_page_runs(page, errors):
    assert errors[page] is None, errors[page]
