"""The page of promises is what the last long run saw."""

import re
from pathlib import Path

from tests.promises.promised import PAGE, PROMISES, page, read


def test_the_page_is_made_from_the_results():
    assert PAGE.read_text(encoding="utf-8") == page(read())


def test_every_promise_is_put_to_the_test():
    tests = Path(__file__).parents[1].rglob("test_*.py")
    marked = re.compile(r'mark\.promise\(\s*"(P\d+)"')
    assert {number for path in tests for number in marked.findall(path.read_text(encoding="utf-8"))} == set(PROMISES)


def test_a_promise_that_was_broken_is_shown_as_such():
    broken = {
        "test": {"promise": "P2", "verifies": "x", "saw": "5 torn", "result": "failed", "date": "", "machine": ""}
    }
    assert "| x (`test`) | **failed** 5 torn |" in page(broken)
    assert page(broken).count("No long run yet.") == len(PROMISES) - 1
