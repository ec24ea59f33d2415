"""Answers are told right from wrong, and nothing that a student types raises."""

import numpy as np
import pytest

from labdaq.demos.exercises import check


@pytest.mark.parametrize(
    ("answer", "right", "said"),
    [
        (..., 1.0, "your turn: put your answer in place of the three dots"),
        ([1.0, ...], [1.0, 2.0], "your turn: put your answer in place of the three dots"),
        (1.04, 1.0, "right"),
        (np.float32(0.96), 1.0, "right"),
        (1.06, 1.0, "not yet: too large; look again"),
        (-3, 1.0, "not yet: too small; look again"),
        (float("nan"), 1.0, "not yet: that is not a finite number; look again"),
        ("one", 1.0, "not yet: that is no number; look again"),
        (None, 1.0, "not yet: that is not a finite number; look again"),
        ([1.0, 2.0], 1.0, "not yet: 2 numbers instead of 1; look again"),
        ([1.0, 2.0], [1.0, 2.01], "right"),
        ([1.0, 3.0], (1.0, 2.0), "not yet; look again"),
        ("Cs-137", "Cs-137", "right"),
        (137, "Cs-137", "not yet; look again"),
        (7, lambda n: n > 5, "right"),
        ("7", lambda n: n > 5, "not yet: that is not the kind of answer that was asked for; look again"),
        (np.float64(3), lambda n: n > 5, "not yet; look again"),
    ],
)
def test_what_is_said(answer, right, said):
    verdict = check(answer, right, within=0.05, hint="look again")
    assert repr(verdict) == said
    assert bool(verdict) is (said == "right")
