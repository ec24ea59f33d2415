"""The page of promises is what the last long run saw."""

from tests.promises.promised import PAGE, PROMISES, marked, page, read

AGAIN = "make the page anew: python -m tests.promises.promised"


def test_the_page_is_made_from_the_tests_and_the_results():
    assert PAGE.read_text(encoding="utf-8") == page(read(), marked()), AGAIN


def test_every_promise_is_put_to_the_test():
    assert {number for number, _ in marked().values()} == set(PROMISES)


def test_every_result_is_of_a_test_that_there_is():
    assert {name.partition("[")[0] for name in read()} <= set(marked()), AGAIN


def test_a_promise_that_was_broken_is_shown_as_such():
    broken = {"test[x]": {"saw": "5 torn", "result": "failed", "date": "today", "machine": "mine"}}
    tests = {"test": ("P2", "frames are whole"), "other": ("P2", "nothing is lost")}
    shown = page(broken, tests)
    assert "| frames are whole (`test[x]`) | **failed** 5 torn | today, mine |" in shown
    assert "| nothing is lost (`other`) | no long run yet | |" in shown
