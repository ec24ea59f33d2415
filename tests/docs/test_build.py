"""The documentation is built without a warning, and its links lead somewhere."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
OUTSIDE = sorted([*ROOT.glob("*.md"), *(ROOT / "notebooks").glob("*.md"), *(ROOT / "binder").glob("*.md")])
LINK = re.compile(r"\]\((?!https?:|mailto:|#)([^)#\s]+)")


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The pages as HTML, and what was said about them."""
    pytest.importorskip("sphinx", reason="the documentation needs sphinx: pip install 'labdaq[docs]'")
    place = tmp_path_factory.mktemp("docs")
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-b", "html"]
    command += ["-d", place / "trees", ROOT / "docs", place / "html"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=110)
    return place / "html", done


@pytest.mark.slow
def test_it_is_built_without_a_warning(built):
    """A page, heading or picture that a link names and that is not there is a warning, too."""
    folder, done = built
    assert done.returncode == 0, done.stderr
    assert (folder / "index.html").is_file()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("page", "said"),
    [
        ("commands", ("labdaq doctor", "labdaq store export", "--seconds")),
        ("suite", ("run_in", "drain_timeout_s")),
        ("statistics", ("kernel_drops", "raise the receive buffer", "A larger ring helps")),
        ("errors", ("BusyError", "make room on the disk")),
    ],
)
def test_the_reference_is_made_of_the_code(built, page, said):
    text = (built[0] / "generated" / f"{page}.html").read_text(encoding="utf-8")
    words = re.sub(r"<[^>]+>", "", text)
    assert all(word in words for word in said)


@pytest.mark.parametrize("page", OUTSIDE, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_of_other_pages_lead_to_files(page):
    text = page.read_text(encoding="utf-8")
    assert [link for link in LINK.findall(text) if not (page.parent / link).exists()] == []
