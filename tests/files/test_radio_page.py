"""The page about radio tells the truth: its Python runs, from top to bottom."""

import re
from pathlib import Path

import numpy as np

PAGE = Path(__file__).parents[2] / "docs" / "radio.md"


def test_the_python_of_the_page_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    scope = {}
    for code in re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL):
        exec(code, scope)
    assert np.argmax(scope["profile"]) == 0
    assert abs(scope["bandpass"].mean() - 1.05) < 0.05
    assert "frames of <f4(1, 64) PSR" in capsys.readouterr().out.replace("> ", " ")
    assert np.array_equal(scope["block"].data[:, 0], scope["spectra"][-len(scope["block"].data) :])
